"""Measures of a registration: its quality, by pure functions of one pair's arrays; its memory."""
