"""Training: augmentation, schedules, the step, the loop."""
