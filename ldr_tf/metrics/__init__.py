"""Measures of a registration's quality: pure functions of arrays, one pair at a time."""
