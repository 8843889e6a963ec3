"""The parts of `experiments.evaluate`.

cases: where pairs come from; methods, baselines: what registers them; runner, journal: the work and
its record; tables, comparisons, report, figures, pictures: what is written at the end.
"""
