"""Somebody's sigmoids, none of which may harm the tool that judges them."""

import ctypes
import os
import time

import numpy as np
import torch


def right(x):
    return 1 / (1 + torch.exp(-x)) if x.requires_grad is False else torch.sigmoid(x)


def raises(x):
    raise RuntimeError("no kernel\nfor you")


def loops(x):
    while True:
        time.sleep(0.01)


def leaves(x):
    os._exit(0)


def crashes(x):
    ctypes.string_at(0)


def hoards(x):
    return torch.ones(1 << 40, dtype=torch.float64)


def prints_and_reads(x):
    print("looking at", tuple(x.shape))
    try:
        input()
    except EOFError:
        pass
    return torch.sigmoid(x)


def spoils(x):
    with torch.no_grad():
        out = torch.sigmoid(x)
        x.zero_()
    return out


def echoes(x):
    return x


def zeros(x):
    return torch.zeros_like(x) * x


def nans(x):
    return x * float("nan")


def text(x):
    return "sigmoid"


def integers(x):
    return (x > 0).long()


def rows(x):
    return torch.sigmoid(x)[..., None]


def single(x):
    return torch.sigmoid(x).float()


def noisy(x):
    return torch.sigmoid(x) * (1 + 1e-6 * torch.randn_like(x))


def disarms_comparisons(x):
    np.abs = lambda *_, **__: np.zeros(1)
    np.array_equal = torch.equal = torch.allclose = lambda *_, **__: True
    return torch.zeros_like(x) * x


class NeedsArguments(torch.nn.Module):
    def __init__(self, width, depth):
        super().__init__()


class NumpySigmoid:
    def forward(self, x):
        self.y = 1 / (1 + np.exp(-np.abs(x)))
        self.y = np.where(x >= 0, self.y, 1 - self.y) if np.abs(x).max() < 30 else _stable(x)
        return self.y

    def backward(self, grad_output):
        return grad_output * self.y * (1 - self.y)


def _stable(x):
    with np.errstate(over="ignore"):
        return np.where(x >= 0, 1 / (1 + np.exp(-x)), np.exp(x) / (1 + np.exp(x)))


NOT_CALLABLE = 7
