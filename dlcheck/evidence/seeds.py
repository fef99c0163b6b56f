"""The seed of a run, from which the draws of its claims come: another one is another sample of everything."""

import numpy as np

RUN = 0
"""Set by who runs the claims."""


def generator(stream: int = 0) -> np.random.Generator:
    """A generator of its own for each purpose of a claim."""
    return np.random.default_rng([RUN, stream])
