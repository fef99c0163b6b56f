"""Training of stack RNNs on a^n b^n, many at once: the next symbol of strings whose end only counting foretells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from dlcheck.evidence import experiment

A, B = 0, 1
HIDDEN, PLACES, LONGEST, STEPS, RATE = 8, 10, 6, 300, 0.07
"""Units, places of the stack, the longest n of the training strings, steps of Adam, and their rate."""
NETWORKS: Mapping[str, tuple[str, ...]] = {"stack": ("R",), "stack and state": (), "state": ("P",)}
"""By what each network hears of the past, with the weights that are therefore kept at zero."""


def strings(ns: Sequence[int]) -> tuple[Float[Tensor, "N T 2"], Int[Tensor, "N T"], Bool[Tensor, "N T"]]:
    """a^n b^n one-hot for each n, the symbol after each, and the places where it follows from the string: at every b.

    After the last b comes the a of another string.
    """
    x, after = torch.zeros(len(ns), 2 * max(ns), 2), torch.full((len(ns), 2 * max(ns)), B)
    known = torch.zeros(after.shape, dtype=torch.bool)
    for row, n in enumerate(ns):
        x[row, :n, A], x[row, n : 2 * n, B] = 1.0, 1.0
        after[row, 2 * n - 1], known[row, n : 2 * n] = A, True
    return x, after, known


def states(w: Mapping[str, Tensor], x: Tensor, places: int) -> Tensor:
    """The states of every run, (R, N, T, H), by the formulas of a stack RNN."""
    runs, hidden = w["U"].shape[:2]
    given, h = x @ w["U"].mT[:, None], torch.zeros(runs, len(x), hidden)
    stack, bottom = torch.full((runs, len(x), places), -1.0), torch.full((runs, len(x), 1), -1.0)
    found = []
    for row in given.unbind(2):
        h = torch.sigmoid(row + h @ w["R"].mT + stack[..., :1] @ w["P"].mT)
        push, pop, still = torch.softmax(h @ w["A"].mT, -1).split(1, -1)
        pushed = torch.cat((torch.sigmoid(h @ w["D"].mT), stack[..., :-1]), -1)
        stack = push * pushed + pop * torch.cat((stack[..., 1:], bottom), -1) + still * stack
        found.append(h)
    return torch.stack(found, 2)


def _started(seeds: Sequence[int]) -> dict[str, Tensor]:
    """Normal weights of variance 1 / fan-in, the same for each network of a seed."""
    shapes = {"U": (HIDDEN, 2), "R": (HIDDEN, HIDDEN), "P": (HIDDEN, 1), "A": (3, HIDDEN), "D": (1, HIDDEN)}
    w = {}
    for name, shape in (shapes | {"O": (2, HIDDEN)}).items():
        drawn = [torch.randn(shape, generator=experiment.generator(seed, name)) for seed in seeds]
        w[name] = torch.stack(drawn * len(NETWORKS)) / shape[1] ** 0.5
    return w | {"c": torch.zeros(len(NETWORKS) * len(seeds), 1, 2)}


def train(seeds: Sequence[int]) -> dict[str, Tensor]:
    """Weights of every network and seed, (networks x seeds, ...), trained on n = 1 to LONGEST together.

    ``O`` (2, H) and ``c`` read the next symbol off the state.
    """
    w = {name: value.requires_grad_() for name, value in _started(seeds).items()}
    kept = {
        name: torch.tensor([[[name not in zero]] for zero in NETWORKS.values()]).repeat_interleave(len(seeds), 0)
        for name in ("R", "P")
    }
    x, after, known = strings(range(1, LONGEST + 1))
    optimizer = torch.optim.Adam(list(w.values()), lr=RATE)
    with experiment.one_thread():
        for _ in range(STEPS):
            masked = w | {name: w[name] * mask for name, mask in kept.items()}
            shown = (states(masked, x, PLACES) @ w["O"].mT[:, None] + w["c"][:, None])[:, known]
            loss = functional.cross_entropy(shown.flatten(0, 1), after[known].repeat(len(shown)), reduction="sum")
            optimizer.zero_grad()
            (loss / known.sum()).backward()
            optimizer.step()
    return {name: (value * kept.get(name, 1)).detach() for name, value in w.items()}


@dataclass(frozen=True, slots=True)
class Counter:
    """One trained network: the stack RNN's parameters, and what reads the next symbol off its state."""

    parameters: Mapping[str, Float[np.ndarray, "*shape"]]
    readout: Float[np.ndarray, "2 H"]
    offset: Float[np.ndarray, "1 2"]

    def right(self, h: Float[np.ndarray, "N T H"], ns: Sequence[int]) -> Bool[np.ndarray, "N"]:
        """Whether every symbol that follows from the string is foretold, for each n, from the states along it."""
        _, after, known = (part.numpy() for part in strings(ns))
        return ((h @ self.readout.T + self.offset).argmax(-1) == after).all(-1, where=known)

    def acts(self, h: Float[np.ndarray, "T H"]) -> str:
        """The likeliest action of each step: 1 push, 2 pop, 3 no-op."""
        return "".join(str(1 + action) for action in (h @ self.parameters["A"].T).argmax(-1))


def counters(seeds: Sequence[int]) -> dict[str, list[Counter]]:
    """A trained network of each kind for every seed."""
    trained = {name: value.double().numpy() for name, value in train(seeds).items()}

    def made(run: int) -> Counter:
        held = {name: trained[name][run] for name in ("U", "R", "P", "A", "D")}
        return Counter(held, trained["O"][run], trained["c"][run])

    count = len(seeds)
    return {name: [made(k * count + run) for run in range(count)] for k, name in enumerate(NETWORKS)}
