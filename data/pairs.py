"""Which scans are registered to which: the pairs of an evaluation and of each training step."""

import functools
import itertools

import numpy as np

from ldr_tf.errors import InputError

# A training that draws subsets by fraction draws them in blocks of this many pairs.
_BLOCK = 1000


class _SubsetPairs:
    """The pairs of one subset: listed in order, or drawn in seeded epochs.

    Kinds: with an atlas (atlas, scan) for each scan; `paired` disjoint neighbours both ways,
    (0,1), (1,0), (2,3), (3,2), ...; otherwise all ordered pairs of distinct scans.
    """

    def __init__(self, manifest, subset, paired):
        self._keys = manifest.subsets[subset]
        self._atlas = manifest.atlas
        self._paired = paired
        scans = len(self._keys)
        if self._atlas is not None:
            self.count = scans
        elif paired:
            self.count = scans // 2 * 2
        else:
            self.count = scans * (scans - 1)
        if self.count < 1:
            least = "one scan" if self._atlas is not None else "two scans"
            raise InputError(
                f"{manifest.path}: the subset {subset!r} must have at least {least} to make a "
                f"pair, it has {scans}."
            )

    def pair(self, index):
        """Returns the pair at `index` of the list, (fixed key, moving key)."""
        if self._atlas is not None:
            return self._atlas, self._keys[index]
        if self._paired:
            return self._keys[index], self._keys[index ^ 1]
        fixed, moving = divmod(index, len(self._keys) - 1)
        return self._keys[fixed], self._keys[moving + (moving >= fixed)]

    def drawn(self, position, seed):
        """Returns the pair at `position` of an endless sequence, epoch after epoch.

        Every epoch is a seeded permutation of all pairs. For ordered pairs it consists of rounds,
        each with every scan once as fixed and once as moving, so that neither time nor memory grows
        with the number of pairs.
        """
        epoch, index = divmod(position, self.count)
        if self._atlas is not None or self._paired:
            (order,) = _permutations((*seed, epoch), (self.count,))
            return self.pair(int(order[index]))
        scans = len(self._keys)
        ring, shifts = _permutations((*seed, epoch), (scans, scans - 1))
        turn, place = divmod(index, scans)
        (starts,) = _permutations((*seed, epoch, turn), (scans,))
        start, shift = starts[place], 1 + shifts[turn]
        return self._keys[ring[start]], self._keys[ring[(start + shift) % scans]]


@functools.lru_cache(maxsize=16)
def _permutations(seed, counts):
    """Returns one permutation per count, drawn in order; cached, as successive steps share them."""
    generator = np.random.default_rng(seed)
    return [generator.permutation(count) for count in counts]


def _parts(manifest, subset, paired):
    scheme = {name: part for name, part in manifest.scheme(subset).items() if part > 0}
    sources = [_SubsetPairs(manifest, name, paired) for name in scheme]
    return sources, np.array(list(scheme.values()))


def list_pairs(manifest, subset, paired=False):
    """Lists the pairs of an evaluation, in order.

    Args:
      manifest: a Manifest.
      subset: a scheme's name, else a subset's; subsets come in the scheme's order.
      paired: only disjoint neighbours; without effect if there is an atlas.

    Returns:
      [(fixed key, moving key)].

    Raises:
      InputError: unknown subset, or one too small to make a pair.
    """
    sources, _ = _parts(manifest, subset, paired)
    return [source.pair(index) for source in sources for index in range(source.count)]


def spread_pairs(manifest, subset, count, seed, paired=False):
    """Chooses pairs spread as evenly as possible over a subset's scans and a scheme's subsets.

    Args:
      manifest, subset, paired: see `list_pairs`.
      count: number of pairs to choose, at most.
      seed: 0 or more; the same choice for the same seed.

    Returns:
      [(fixed key, moving key)], `count` of them or all that there are, from the subsets in turn.
    """
    sources, _ = _parts(manifest, subset, paired)
    turns = range(max(source.count for source in sources))
    # Each source draws its pairs in rounds in which every scan is once fixed and once moving.
    dealt = (
        source.drawn(turn, [seed, part])
        for turn in turns
        for part, source in enumerate(sources)
        if turn < source.count
    )
    return list(itertools.islice(dealt, count))


def training_pairs(manifest, subset, batch_size, seed, step, paired=False):
    """Returns the pairs of one training step; a pure function of its arguments.

    Every batch holds round(fraction * batch_size) pairs of each subset of a scheme, as in the
    original. If these do not add up to the batch, if there is an atlas, and for brains (also as in
    the original), subsets are drawn by fraction instead: shuffled blocks of a thousand pairs hold
    each subset in its share. Every subset runs through its own seeded epochs.

    Args:
      manifest: a Manifest.
      subset: a scheme's name, else a subset's.
      batch_size: pairs per step.
      seed: 0 or more.
      step: 0 or more.
      paired: only disjoint neighbours.

    Returns:
      [(fixed key, moving key)], `batch_size` of them.

    Raises:
      InputError: unknown subset, or one too small to make a pair.
    """
    sources, fractions = _parts(manifest, subset, paired)
    counts = np.round(fractions * batch_size).astype(int)
    by_fraction = manifest.atlas is not None or manifest.image_type == "brain"
    if len(sources) > 1 and (by_fraction or counts.sum() != batch_size):
        places = _places_by_fraction(fractions, batch_size, seed, step)
    else:
        if len(sources) == 1:
            counts = [batch_size]
        places = [
            (part, step * count + item)
            for part, count in enumerate(counts)
            for item in range(count)
        ]
    return [sources[part].drawn(position, [seed, part]) for part, position in places]


def _places_by_fraction(fractions, batch_size, seed, step):
    """Returns (index of the subset, position in its sequence) of each pair of a step."""
    ends = np.round(np.cumsum(fractions) * _BLOCK).astype(int)
    shares = np.diff(np.concatenate([[0], ends]))
    deck = np.repeat(np.arange(len(shares)), shares)
    places = []
    for item in range(step * batch_size, (step + 1) * batch_size):
        block, place = divmod(item, _BLOCK)
        dealt = np.random.default_rng([seed, len(shares), block]).permutation(deck)
        part = int(dealt[place])
        earlier = int(np.count_nonzero(dealt[:place] == part))
        places.append((part, block * int(shares[part]) + earlier))
    return places
