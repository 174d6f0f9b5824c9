"""Seeds of the samples that measures draw."""

import numpy as np


def mixed(*numbers):
    """A seed in [0, 2^63) made of integers ≥ 0, by numpy's SeedSequence.

    Other numbers, even neighbouring ones, give a seed that has nothing to do with this one, which
    sums like 7919·(step + seed) do not: they repeat from run to run.
    """
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
