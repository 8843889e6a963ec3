"""The networks: student, teacher, affine stems, their cascade, and the critic."""
