"""What keeps a network: run folders, packed runs, and the checkpoints of the original code."""
