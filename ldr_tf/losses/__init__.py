"""Losses: pure functions that return one value for each example of the batch."""
