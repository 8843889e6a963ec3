#!/bin/sh
# Two scans to a result, on made-up brains. Run it from the checkout, in its environment:
#
#   sh docs/tutorials/two_scans.sh [FOLDER]        SIZE=64 makes it faster and the brains coarser
set -eu
OUT=${1:-tutorial}
SIZE=${SIZE:-96}

# --8<-- [start:scans]
python -m experiments.make_phantoms --kind=brain --count=2 --size="$SIZE" --nifti=2 \
    --output="$OUT/brains"
# --8<-- [end:scans]

# --8<-- [start:register]
ldr-register --model=brain-t1 --quality=fast --output="$OUT/registered" \
    --fixed="$OUT/brains/nifti/000.nii.gz" --fixed_labels="$OUT/brains/nifti/000_seg.nii.gz" \
    --moving="$OUT/brains/nifti/001.nii.gz" --moving_labels="$OUT/brains/nifti/001_seg.nii.gz"
# --8<-- [end:register]

# --8<-- [start:refine]
ldr-register --model=brain-t1 --quality=best --inverse --output="$OUT/refined" \
    --fixed="$OUT/brains/nifti/000.nii.gz" --fixed_labels="$OUT/brains/nifti/000_seg.nii.gz" \
    --moving="$OUT/brains/nifti/001.nii.gz" --moving_labels="$OUT/brains/nifti/001_seg.nii.gz"
# --8<-- [end:refine]

# --8<-- [start:warp]
ldr-warp --transform="$OUT/refined/inverse_displacement.nii.gz" --interpolation=nearest \
    --input="$OUT/brains/nifti/000_seg.nii.gz" --reference="$OUT/brains/nifti/001.nii.gz" \
    --output="$OUT/fixed_labels_on_moving.nii.gz"
# --8<-- [end:warp]
