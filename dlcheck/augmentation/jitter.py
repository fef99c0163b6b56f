"""The steps of a colour jitter, for many images at once."""

from typing import Any

import numpy as np

from dlcheck.augmentation.arguments import GREY, STEPS, Brightness, Grey, JitterClipping, Order, Pivot, choice


def adjusted(
    images: np.ndarray,
    step: int,
    amount: np.ndarray,
    *,
    brightness_kind: Brightness,
    grey: Grey,
    pivot: Pivot,
    clipping: JitterClipping,
) -> np.ndarray:
    """Images (n, 3, H, W) after one step, each by its own amount (n,)."""
    amount = amount[:, None, None, None]
    if STEPS[step] == "brightness" and brightness_kind == "shift":
        adjusted = images + (amount - 1)
    else:
        adjusted = amount * images + (1 - amount) * _away_from(images, step, grey, pivot)
    return np.clip(adjusted, 0, 1) if clipping == "unit" else adjusted


def _away_from(images: np.ndarray, step: int, grey: Grey, pivot: Pivot) -> Any:
    """What an amount of 0 would leave of the images: black, one grey or colour, or the grey image."""
    if STEPS[step] == "brightness":
        return 0.0
    shades = np.einsum("nchw,c->nhw", images, GREY[grey])[:, None]
    if STEPS[step] == "saturation":
        return shades
    return {"grey_mean": shades, "channel_means": images}[pivot].mean(axis=(2, 3), keepdims=True)


def conventions_of(**chosen: str) -> dict[str, Any]:
    """The conventions of a step, each one in use."""
    options = {
        "brightness_kind": ("factor", "shift"),
        "grey": tuple(GREY),
        "pivot": ("grey_mean", "channel_means"),
        "clipping": ("unit", "none", "end"),
    }
    return {name: choice(name, value, options[name]) for name, value in chosen.items()}


def steps_of(rng: np.random.Generator, order: Order) -> list[int]:
    """The three steps in their order, which may be drawn."""
    if choice("order", order, ("random", "fixed", "saturation_first")) == "random":
        return rng.permutation(3).tolist()
    return {"fixed": [0, 1, 2], "saturation_first": [2, 0, 1]}[order]
