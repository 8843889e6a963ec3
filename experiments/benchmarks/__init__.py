"""What `experiments.benchmark` measures, one subject a file."""
