"""Parses flags that describe a grid; one value stands for three."""

from ldr_tf.errors import InputError


def parse_size(words):
    """Returns voxels along x, y, z from a list of one or three words.

    Raises:
      InputError: another number of words, or not whole numbers of at least 16.
    """
    words = list(words) * 3 if len(words) == 1 else list(words)
    if len(words) != 3 or not all(
        str(word).strip().isdigit() and int(word) >= 16 for word in words
    ):
        raise InputError(
            "size must be one or three whole numbers of at least 16, such as 128 or 80,96,112, "
            f"not {','.join(map(str, words))}."
        )
    return tuple(int(word) for word in words)


def parse_spacing(words):
    """Returns mm along x, y, z from a list of one or three words; None for None.

    Raises:
      InputError: another number of words, or not numbers.
    """
    if words is None:
        return None
    try:
        spacing = tuple(float(word) for word in (words * 3 if len(words) == 1 else words))
    except ValueError:
        spacing = ()
    if len(spacing) != 3:
        raise InputError(
            f"spacing must be one or three numbers of mm, such as 2,2,2, not {','.join(words)}."
        )
    return spacing
