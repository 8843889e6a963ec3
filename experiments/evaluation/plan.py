"""What is evaluated, in plain values, from which any process makes the pairs and the methods."""

import dataclasses
from typing import Optional

from ldr_tf.commands.quiet import quiet_xla
from ldr_tf.errors import InputError


@dataclasses.dataclass(frozen=True)
class Plan:
    """Pairs and methods of an evaluation; fields as of the flags of experiments.evaluate.

    Attributes:
      runs: (name, path, precision) of each network.
      baselines: names of other programs.
      spacing: mm along x, y, z, or None.
      originals: whether the originals' metrics are measured too.
    """

    runs: tuple[tuple[str, str, str], ...]
    baselines: tuple[str, ...]
    refine_steps: int
    affine: str
    dataset: Optional[str]
    subset: str
    paired: bool
    allow_external: bool
    spacing: Optional[tuple[float, ...]]
    pairs: Optional[str]
    points_space: str
    true_displacements: Optional[str]
    originals: bool

    def cases(self):
        """Returns the pairs, see `cases.DatasetCases` and `cases.FileCases`; InputError as they."""
        from experiments.evaluation.cases import DatasetCases, FileCases

        if self.pairs:
            return FileCases(self.pairs, self.points_space, self.true_displacements)
        from data.manifest import read_manifest

        manifest = read_manifest(self.dataset, self.allow_external)
        words = self.subset, self.paired, self.spacing, self.true_displacements
        return DatasetCases(manifest, *words)

    def settled(self, methods):
        """Returns the plan for workers, whose processors may be others, with precisions as here.

        Args:
          methods: of this plan, loaded here.
        """
        found = {
            method.name: method.precision for method in methods if hasattr(method, "precision")
        }
        runs = tuple((name, path, found[name] or asked) for name, path, asked in self.runs)
        return dataclasses.replace(self, runs=runs)

    def methods(self):
        """Returns the methods in the order of the tables.

        Raises:
          InputError: a network's files or a program's package are not there.
        """
        from experiments.evaluation.baselines import make_baseline
        from experiments.evaluation.methods import Identity, NetworkMethod
        from ldr_tf.models import load_model

        quiet_xla()
        others = [make_baseline(name) for name in self.baselines]
        methods = [Identity()]
        for name, path, precision in self.runs:
            model = load_model(path, precision)
            if model is None:
                raise InputError(
                    f"--run={path}: must be a model; what does nothing is there anyway."
                )
            for steps in dict.fromkeys((0, self.refine_steps)):
                label = f"{name} + {steps} steps" if steps else name
                methods.append(NetworkMethod(label, model, steps, self.affine))
        return methods + others
