#!/bin/sh
# A folder of scans to a trained student, on phantoms. Run it from the checkout, in its environment:
#
#   sh docs/tutorials/folder_to_student.sh [FOLDER]      STEPS=4 only shows that all commands run
set -eu
OUT=${1:-tutorial}
STEPS=${STEPS:-600}

# --8<-- [start:scans]
python -m experiments.make_phantoms --count=20 --size=64 --nifti=20 --output="$OUT/trunks"
# --8<-- [end:scans]

# --8<-- [start:list]
echo image,labels,subset >"$OUT/scans.csv"
for number in 00 01 02 03 04 05 06 07 08 09 10 11 12 13 14 15 16 17 18 19; do
    case $number in
        0? | 10 | 11 | 12 | 13) subset=train ;;
        14 | 15) subset=validation ;;
        *) subset=test ;;
    esac
    scan=trunks/nifti/0$number
    echo "$scan.nii.gz,${scan}_seg.nii.gz,$subset" >>"$OUT/scans.csv"
done
# --8<-- [end:list]

# --8<-- [start:prepare]
python -m experiments.prepare --input="$OUT/scans.csv" --output="$OUT/data" \
    --size=64 --spacing=1.5,1.5,1.5 --orientation=RAS
# --8<-- [end:prepare]

# --8<-- [start:teacher]
python -m experiments.train --stage=teacher --dataset="$OUT/data/dataset.json" \
    --config=experiments/configs/demo_teacher.json --set=optimisation.steps="$STEPS" \
    --output="$OUT/teacher"
# --8<-- [end:teacher]

# --8<-- [start:student]
python -m experiments.train --stage=student --dataset="$OUT/data/dataset.json" \
    --config=experiments/configs/demo_student.json --set=optimisation.steps="$STEPS" \
    --teacher="$OUT/teacher" --output="$OUT/student"
# --8<-- [end:student]

# --8<-- [start:evaluate]
python -m experiments.evaluate --run="$OUT/teacher" --run="$OUT/student" --paired \
    --dataset="$OUT/data/dataset.json" --subset=test --output="$OUT/results"
# --8<-- [end:evaluate]
