"""A sigmoid with a known mistake, which every run must find."""

import torch

MISTAKE = "sigmoid-sign"


def sigmoid(x: torch.Tensor) -> torch.Tensor:
    """1 / (1 + exp(x)) of a tensor of any shape, in place of 1 / (1 + exp(-x))."""
    return torch.sigmoid(-x)
