"""LSTMs that have to remember: an example is shown, nothing follows for some steps, and then it is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlcheck.evidence import experiment

Array = NDArray[np.float64]
GATES = ("input", "forget", "output")
_BLOCKS = {"input": 0, "forget": 1, "output": 3}
RATES = (0.9, 0.999, 1e-8)


def adam(gradient: Tensor, state: dict[str, Any]) -> Tensor:
    """The direction of Adam with its usual settings."""
    mean_decay, square_decay, eps = RATES
    state["step"] = state.get("step", 0) + 1
    state["mean"] = mean_decay * state.get("mean", 0.0) + (1 - mean_decay) * gradient
    state["square"] = square_decay * state.get("square", 0.0) + (1 - square_decay) * gradient**2
    root = (state["square"] / (1 - square_decay ** state["step"])).sqrt()
    return state["mean"] / (1 - mean_decay ** state["step"]) / (root + eps)


@dataclass(frozen=True, slots=True, eq=False)
class Remembering:
    """An LSTM that reads an example in ``pieces`` of equal width, then blank steps, and answers from its last state.

    ``without`` names gates that are held open at 1. The initial weights are Glorot's, the biases 0 but for the forget
    gate's.
    """

    delay: int
    forget_bias: float = 0.0
    pieces: int = 1
    hidden: int = 8
    without: frozenset[str] = field(default=frozenset())

    def weights(self, inputs: int, outputs: int, seeds: Sequence[int]) -> list[Tensor]:
        """Weights of the input, the state and the biases of the gates, and of the answer; a seed fixes the numbers."""
        sizes = ((inputs // self.pieces, 4 * self.hidden), (self.hidden, 4 * self.hidden), (self.hidden, outputs))
        drawn = []
        for layer, size in enumerate(sizes):
            generators = (experiment.generator(seed, f"layer {layer}") for seed in seeds)
            scale = experiment.glorot(size[0], size[1] if layer == 2 else self.hidden)
            drawn.append(scale * torch.stack([torch.randn(*size, generator=generator) for generator in generators]))
        bias = torch.zeros(len(seeds), 1, 4 * self.hidden)
        bias[:, :, self.hidden : 2 * self.hidden] = self.forget_bias
        return [*drawn[:2], bias, drawn[2], torch.zeros(len(seeds), 1, outputs)]

    def __call__(self, weights: Sequence[Tensor], x: Tensor) -> Tensor:
        """Answers of every run, (R, N, D) -> (R, N, C)."""
        of_input, of_state, bias, of_answer, last = weights
        h = c = x.new_zeros(*x.shape[:2], self.hidden)
        for piece in [*x.chunk(self.pieces, 2), *([None] * self.delay)]:
            given = bias if piece is None else torch.baddbmm(bias, piece, of_input)
            h, c = self._step(given + torch.bmm(h, of_state), c)
        return torch.baddbmm(last, h, of_answer)

    def _step(self, gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        parts = gates.chunk(4, 2)
        i, f, o = (1.0 if name in self.without else parts[_BLOCKS[name]].sigmoid() for name in GATES)
        c = f * c + i * parts[2].tanh()
        return o * c.tanh(), c
