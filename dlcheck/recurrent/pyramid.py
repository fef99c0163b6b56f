"""How a pyramidal RNN joins neighbouring steps, and the way back."""

from typing import Literal

import numpy as np
from jaxtyping import Float, Int

Sequence = Float[np.ndarray, "B T D"]
Joined = Float[np.ndarray, "B S 2*D"]
Order = Int[np.ndarray, "S 2"]
OddLength = Literal["dropped", "padded"]
NOTHING = -1
"""Stands for a step of zeros in an order."""


def pairs(steps: int) -> Order:
    """The steps that are joined: each even one and the next; an odd last one is left out."""
    return np.arange(steps // 2 * 2).reshape(-1, 2)


def joined(x: Sequence, order: Order) -> Joined:
    """The steps of x in an order, two by two."""
    padded = np.concatenate((x, np.zeros_like(x[:, :1])), axis=1)
    return padded[:, order].reshape(len(x), len(order), -1)


def joined_back(grad: Joined, order: Order, steps: int) -> Sequence:
    """From the gradient of the joined steps to that of x."""
    batch, _, width = grad.shape
    back = np.zeros((steps + 1, batch, width // 2))
    np.add.at(back, order, np.moveaxis(grad.reshape(batch, *order.shape, width // 2), 0, 2))
    return back[:-1].swapaxes(0, 1)


def padded(x: Sequence, factor: int) -> Sequence:
    """The sequence with zeros up to a multiple of so many steps."""
    return np.pad(x, ((0, 0), (0, -x.shape[1] % factor), (0, 0)))
