"""Names and numbers of the structures of a brain."""

import numpy as np

from ldr_tf.errors import InputError

NUMBERINGS = ("freesurfer", "oasis35", "muse")
"""FreeSurfer's; 1 to 35, as in the public OASIS label files; MUSE's, see `freesurfer_table`."""

# FreeSurfer's numbers of the 35 structures in the public OASIS label files, in their order.
BRAIN_LABELS = {
    "left-cerebral-white-matter": 2,
    "left-cerebral-cortex": 3,
    "left-lateral-ventricle": 4,
    "left-inferior-lateral-ventricle": 5,
    "left-cerebellum-white-matter": 7,
    "left-cerebellum-cortex": 8,
    "left-thalamus": 10,
    "left-caudate": 11,
    "left-putamen": 12,
    "left-pallidum": 13,
    "third-ventricle": 14,
    "fourth-ventricle": 15,
    "brain-stem": 16,
    "left-hippocampus": 17,
    "left-amygdala": 18,
    "left-accumbens": 26,
    "left-ventral-dc": 28,
    "left-vessel": 30,
    "left-choroid-plexus": 31,
    "right-cerebral-white-matter": 41,
    "right-cerebral-cortex": 42,
    "right-lateral-ventricle": 43,
    "right-inferior-lateral-ventricle": 44,
    "right-cerebellum-white-matter": 46,
    "right-cerebellum-cortex": 47,
    "right-thalamus": 49,
    "right-caudate": 50,
    "right-putamen": 51,
    "right-pallidum": 52,
    "right-hippocampus": 53,
    "right-amygdala": 54,
    "right-accumbens": 58,
    "right-ventral-dc": 60,
    "right-vessel": 62,
    "right-choroid-plexus": 63,
}

OUTSIDE_BRAIN = 500
"""FreeSurfer's labels from here on lie outside the brain."""

# MUSE's structures with a counterpart above: (right, left) -> FreeSurfer's (right, left).
_MUSE_SIDES = {
    (23, 30): (58, 26),  # accumbens
    (31, 32): (54, 18),  # amygdala
    (36, 37): (50, 11),  # caudate
    (38, 39): (47, 8),  # cerebellum, cortex
    (40, 41): (46, 7),  # cerebellum, white matter
    (47, 48): (53, 17),  # hippocampus
    (49, 50): (44, 5),  # inferior lateral ventricle
    (51, 52): (43, 4),  # lateral ventricle
    (55, 56): (52, 13),  # pallidum
    (57, 58): (51, 12),  # putamen
    (59, 60): (49, 10),  # thalamus
    (61, 62): (60, 28),  # ventral diencephalon
}
_MUSE_MIDDLE = {4: 14, 11: 15, 35: 16}  # third and fourth ventricle, brain stem
_MUSE_WHITE = range(81, 95)  # lobes, fornix, internal capsule: right ones are odd
_MUSE_CORTEX = range(100, 208)  # gyri: right ones are even
_RIGHT_WHITE, _LEFT_WHITE, _RIGHT_CORTEX, _LEFT_CORTEX = 41, 2, 42, 3


def freesurfer_table(numbering):
    """Returns the array that takes a numbering's labels to FreeSurfer's, 0 where there is none.

    MUSE is the atlas of Doshi et al., "MUSE: MUlti-atlas region Segmentation utilizing Ensembles of
    registration algorithms and parameters", NeuroImage 2016. Its gyri become one cortex a side, its
    lobes one white matter a side; vermis, corpus callosum and basal forebrain have no counterpart.

    Args:
      numbering: one of NUMBERINGS.
    """
    if numbering == "freesurfer":
        return np.arange(2**16)
    if numbering == "oasis35":
        return np.array([0, *BRAIN_LABELS.values()])
    table = np.zeros(256, np.int64)
    for muse, freesurfer in _MUSE_SIDES.items():
        table[list(muse)] = freesurfer
    for muse, freesurfer in _MUSE_MIDDLE.items():
        table[muse] = freesurfer
    for number in _MUSE_WHITE:
        table[number] = _RIGHT_WHITE if number % 2 else _LEFT_WHITE
    for number in _MUSE_CORTEX:
        table[number] = _LEFT_CORTEX if number % 2 else _RIGHT_CORTEX
    return table


def to_freesurfer(labels, numbering, path):
    """Returns labels in FreeSurfer's numbers, uint16, see `freesurfer_table`.

    Args:
      labels: integers of any shape.
      numbering: one of NUMBERINGS.
      path: their file, for the sentence.

    Raises:
      InputError: a label beyond the numbering.
    """
    table = freesurfer_table(numbering)
    if labels.min() < 0 or labels.max() >= len(table):
        raise InputError(
            f"{path}: labels must lie in 0..{len(table) - 1} in the numbering {numbering}, not in "
            f"{labels.min()}..{labels.max()}."
        )
    return table[labels].astype(np.uint16)
