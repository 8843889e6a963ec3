"""What ldr-register says of a registration: summary.json, and lines for the screen."""

import dataclasses
import platform

import numpy as np
import SimpleITK as sitk

import ldr_tf


def model_summary(model):
    """Returns what summary.json says of a RegistrationModel; None for None."""
    return model and {
        "name": model.name,
        "network": model.network.base_network,
        "cascades": model.network.cascades,
        "image_size": model.network.image_size,
        "precision": model.precision,
        "fingerprint": model.fingerprint,
    }


def summary(result, seconds, peak_mb):
    """Returns the content of summary.json but for what tells one registration from another."""
    import tensorflow as tf

    alignment = result.alignment
    return {
        "model": model_summary(result.model),
        "masks": {
            side: {"source": mask.source, "ml": mask.millilitres}
            for side, mask in result.masks.items()
        },
        "affine": {
            "method": alignment.method,
            "note": alignment.note,
            "kind": alignment.kind,
            **dataclasses.asdict(alignment.shape),
            "starts": alignment.tried,
            "searched": alignment.searched,
            "likeness_before": dataclasses.asdict(alignment.likeness_before),
            "likeness_after": dataclasses.asdict(alignment.likeness_after),
            "likeness_of_cores": alignment.likeness_of_cores
            and dataclasses.asdict(alignment.likeness_of_cores),
            "foreground_dice_before": alignment.overlap_before,
            "foreground_dice_after": alignment.overlap_after,
        },
        "similarity": {
            "measure": "Pearson correlation inside the fixed foreground, where the moving scan is",
            "before": result.correlation_before,
            "after": result.correlation_after,
            "stages_on_the_working_grid": result.stages,
        },
        "refinement": result.refinement and dataclasses.asdict(result.refinement),
        "dice": _before_and_after(result.dice_before, result.dice_after),
        "landmarks_mm": _before_and_after(result.landmarks_before, result.landmarks_after),
        "unfolding": result.unfolding and result.unfolding._asdict(),
        "folds_percent": result.folds_percent,
        "folds_any_percent": result.folds_any_percent,
        "std_jacobian": result.std_jacobian,
        "inverse_residual_mm": result.inverse_residual,
        "notices": [dataclasses.asdict(notice) for notice in result.notices],
        "background": result.background,
        "memory": {"estimated_mb": round(result.estimated_mb), "peak_mb": round(peak_mb)},
        "seconds": seconds,
        "versions": {
            "ldr_tf": ldr_tf.__version__,
            "tensorflow": tf.__version__,
            "SimpleITK": sitk.Version_VersionString(),
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }


def lines(result, seconds):
    """Returns the lines that tell a person at the screen how the registration went."""
    found = [f"affine: {result.alignment.note}"]
    stages = ", ".join(f"{name} {_number(value)}" for name, value in result.stages.items())
    found.append(
        f"correlation: {_number(result.correlation_before)} before, "
        f"{_number(result.correlation_after)} after (stages: {stages})"
    )
    for name, unit, before, after in (
        ("Dice", "labels", result.dice_before, result.dice_after),
        ("error in mm", "landmarks", result.landmarks_before, result.landmarks_after),
    ):
        if after is not None:
            found.append(
                f"mean {name} of {len(after)} {unit}: {_number(mean(before))} before, "
                f"{_number(mean(after))} after"
            )
    found.append(
        f"folds: {result.folds_percent:.4f} % by forward differences, "
        f"{result.folds_any_percent:.4f} % towards any corner of a voxel{_unfolded(result)}"
    )
    if result.inverse_residual is not None:
        parts = ", ".join(f"{k} {_number(v)}" for k, v in result.inverse_residual.items())
        found.append(f"inverse, residual in mm (lost in percent): {parts}")
    found.append("seconds: " + ", ".join(f"{stage} {s:.2f}" for stage, s in seconds.items()))
    return found


def _unfolded(result):
    done = result.unfolding
    if done is None:
        return ""
    return (
        f" (before unfolding {done.folds_any_percent:.4f} %; that changed "
        f"{done.changed_percent:.2f} % of the vectors, by {done.largest_mm:.1f} mm at most)"
    )


def mean(values):
    """Returns the mean of a dict's values, None where there is none."""
    return float(np.mean(list(values.values()))) if values else None


def _before_and_after(before, after):
    if after is None:
        return None
    return {
        "mean_before": mean(before),
        "mean_after": mean(after),
        "before": before,
        "after": after,
    }


def _number(value):
    return "undefined" if value is None else f"{value:.4f}"
