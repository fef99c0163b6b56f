"""What several faults share: effects on training, and a stream of random numbers that starts anew."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcheck.augmentation import reference
from dlcheck.component import Fault

Array = NDArray[np.float64]

WRONG_INVARIANCE = "The network is trained on images as they never occur, for instance upside down."
NO_VARIETY = "Every image is changed in the same way, which is as if nothing were augmented."
LESS_VARIETY = "Images vary less, or otherwise, than the settings say."
MISPLACED = "Images no longer fit what is known of their pixels: boxes, key points, masks."
DISTORTED = "Objects change their shape, in training or in testing alone."
SHIFTED = "Training images are brighter, darker or other in colour on average than test images."
ARTEFACTS = "The images get edges, colours and values that no test image has."
TOO_STRONG = "Images vary far more or less than asked for."

WORKERS = (
    "https://github.com/pytorch/pytorch/issues/5059",
    "https://github.com/xingyizhou/CenterNet/issues/233",
    "https://github.com/pytorch/pytorch/issues/3880",
    "https://github.com/facebookresearch/fairseq/issues/1383",
    "https://github.com/Project-MONAI/MONAI/issues/1068",
)


def reseeded(name: str, id: str, full_id: str = "", happened: tuple[str, ...] = ()) -> Fault:
    """Every call starts the same stream of random numbers."""

    def sampler(*arrays: Array, rng: np.random.Generator, **settings: Any) -> Array:
        return getattr(reference, name)(*arrays, rng=np.random.default_rng(0), **settings)

    return Fault(
        full_id or f"{id}-reseeded", name, "each call starts the same random stream", NO_VARIETY,
        "seed one generator for each process, once, and go on drawing from it", {name: sampler}, happened,
    )  # fmt: skip


def deaf(name: str, id: str) -> Fault:
    """The numbers come from another stream than the generator's that is given."""
    return Fault(
        f"{id}-generator-ignored", name, "it draws from another stream than its generator's",
        "Runs cannot be repeated, and workers may see the same changes.",
        "draw every number with generator=generator", {"obeys_generator": lambda: False},
    )  # fmt: skip
