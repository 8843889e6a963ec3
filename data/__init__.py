"""Data sets: what `experiments` reads and writes.

Importable from the checkout, not from the wheel.
"""
