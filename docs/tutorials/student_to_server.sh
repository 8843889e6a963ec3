#!/bin/sh
# A student to a server: after folder_to_student.sh, from the checkout, in its environment:
#
#   sh docs/tutorials/student_to_server.sh [FOLDER]
set -eu
OUT=${1:-tutorial}

# --8<-- [start:export]
python -m experiments.export --run="$OUT/student" --output="$OUT/models/student"
# --8<-- [end:export]

# --8<-- [start:try]
ldr-register --model="$OUT/models/student" --output="$OUT/by_export" \
    --fixed="$OUT/trunks/nifti/018.nii.gz" --moving="$OUT/trunks/nifti/019.nii.gz"
# --8<-- [end:try]
