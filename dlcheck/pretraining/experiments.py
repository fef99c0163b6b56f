"""What the notes say about greedy pretraining, judged by seeded training runs on real data.

The rule was fixed before the runs that decide: steps of plain SGD to a training loss of 1/2, each start at the learning
rate that suits it best; a start is better from a factor of 1.1.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from dlcheck.component import Source, notes
from dlcheck.evidence import experiment
from dlcheck.evidence.experiment import Curves, Data, Network
from dlcheck.judgement import Counterexample, Evidence, Figure, Judgement, claim

Array = NDArray[np.float64]
Start = tuple[Tensor, Tensor]
"""Weight (S, D, H) and bias (S, 1, H) of a layer, for every seed."""
Learner = Callable[[Tensor, int, range], Start]

WIDTHS = (32, 32, 32)
LABELLED = 100
STEPS = 200
RATES = (0.4, 1.6, 6.4)
THRESHOLD = 0.5
BATCH = 64

_NOTES = notes("004, Parameters Initialization")
_BENGIO = Source(
    "Bengio et al. 2007, Greedy layer-wise training of deep networks",
    "sections 3, 4",
    "https://papers.nips.cc/paper/2006/hash/5da713a690c067105aeb2fae32403405-Abstract.html",
)
_ERHAN = Source(
    "Erhan et al. 2010, Why does unsupervised pre-training help deep learning?",
    "sections 3, 4",
    "https://www.jmlr.org/papers/v11/erhan10a.html",
)
_GLOROT = Source(
    "Glorot et al. 2011, Deep sparse rectifiers", "5.1", "https://proceedings.mlr.press/v15/glorot11a.html"
)


@dataclass(frozen=True, slots=True, eq=False)
class Pretrained(Network):
    """A network whose hidden layers start from given weights."""

    start: tuple[Tensor, ...] = ()

    def weights(self, inputs: int, outputs: int, seeds: Any) -> list[Tensor]:
        """The given weights, and a random last layer."""
        return [*(w.clone() for w in self.start), *Network.weights(self, inputs, outputs, seeds)[-2:]]


def _batches(x: Tensor, steps: int, seeds: range) -> Tensor:
    """Examples drawn for each step and seed, (steps, S, BATCH, D)."""
    drawn = [
        x[run][torch.randint(x.shape[1], (steps, BATCH), generator=experiment.generator(seed, "pretraining"))]
        for run, seed in enumerate(seeds)
    ]
    return torch.stack(drawn, 1)


def _autoencoder(x: Tensor, width: int, seeds: range, steps: int = 100, rate: float = 0.2) -> Start:
    """The coder of an autoencoder with tied weights that minimises the cross-entropy of its reconstruction."""
    first, bias = Network((), torch.sigmoid).weights(x.shape[2], width, seeds)
    params = [p.requires_grad_() for p in (first, bias, torch.zeros(len(seeds), 1, x.shape[2]))]
    for v in _batches(x, steps, seeds):
        weight, bias, back = params
        code = torch.sigmoid(torch.baddbmm(bias, v, weight))
        loss = functional.binary_cross_entropy_with_logits(torch.baddbmm(back, code, weight.mT), v, reduction="sum")
        gradients = torch.autograd.grad(loss / BATCH, params)
        with torch.no_grad():
            for param, gradient in zip(params, gradients, strict=True):
                param -= rate * gradient
    return params[0].detach(), params[1].detach()


def _machine(x: Tensor, width: int, seeds: range, steps: int = 400, rate: float = 1.0) -> Start:
    """A restricted Boltzmann machine, by contrastive divergence of one step."""
    weight = 0.01 * Network((), torch.sigmoid, lambda *_: 1.0).weights(x.shape[2], width, seeds)[0]
    bias, back = torch.zeros(len(seeds), 1, width), torch.zeros(len(seeds), 1, x.shape[2])
    generator = experiment.generator(seeds[0], "Gibbs")
    for v in _batches(x, steps, seeds):
        p = torch.sigmoid(torch.baddbmm(bias, v, weight))
        h = torch.bernoulli(p, generator=generator)
        w = torch.bernoulli(torch.sigmoid(torch.baddbmm(back, h, weight.mT)), generator=generator)
        q = torch.sigmoid(torch.baddbmm(bias, w, weight))
        weight = weight + rate * (v.mT @ p - w.mT @ q) / BATCH
        bias, back = bias + rate * (p - q).mean(1, keepdim=True), back + rate * (v - w).mean(1, keepdim=True)
    return weight, bias


def _greedy(x: Tensor, seeds: range, learn: Learner) -> tuple[Tensor, ...]:
    """Every layer learns the code of the one below."""
    stack: tuple[Tensor, ...] = ()
    for width in WIDTHS:
        weight, bias = learn(x, width, seeds)
        stack, x = (*stack, weight, bias), torch.sigmoid(torch.baddbmm(bias, x, weight))
    return stack


def _runs() -> dict[str, Curves]:
    seeds = experiment.seeds(experiment.PROFILE)
    features, target, classes = experiment.bundled("digits")
    every = experiment.split("digits", features / 16, target, classes, seeds, standardise=False)
    some = Data("digits", (every.train[0][:, :LABELLED], every.train[1][:, :LABELLED]), every.test, classes)
    networks: dict[str, Network] = {"random": Network(WIDTHS, torch.sigmoid)}
    with experiment.one_thread():
        for name, learn in (("stacked autoencoders", _autoencoder), ("deep belief network", _machine)):
            networks[name] = Pretrained(WIDTHS, torch.sigmoid, start=_greedy(every.train[0], seeds, learn))
    return {name: experiment.train(some, seeds, network, RATES, STEPS) for name, network in networks.items()}


def _best_split(code: Array, labels: Array) -> float:
    """Accuracy of the best threshold on a code, either way round."""
    rights = [np.mean((code > t) == (labels > 0)) for t in (-np.inf, *code)]
    return float(max(*rights, *(1 - right for right in rights)))


@claim(
    "init.greedy-pretraining",
    says="Greedy layerwise pretraining (stacked autoencoders, a deep belief network of RBMs) gives a better start than "
    "random weights.",
    sources=(_NOTES, _BENGIO, _ERHAN, _GLOROT),
    evidence="empirical",
    verdict="conditional",
)
def greedy_pretraining() -> Judgement:
    """Train deep sigmoid networks from three starts; construct labels that pretraining cannot see."""
    runs = _runs()
    steps = {name: curves.fastest(THRESHOLD) for name, curves in runs.items()}
    gains = {name: experiment.speedup(steps["random"], found) for name, found in steps.items() if name != "random"}
    points = np.array([[2.0, 1.0], [2.0, -1.0], [-2.0, 1.0], [-2.0, -1.0]])
    axis = np.linalg.svd(points, full_matrices=False)[2][0]
    learned, drawn = _best_split(points @ axis, points[:, 1]), _best_split(points @ np.ones(2), points[:, 1])
    figures = {
        name: (curves.steps[1:].tolist(), curves.loss[experiment.best(curves.steps_to(THRESHOLD))].mean(0)[1:].tolist())
        for name, curves in runs.items()
    }
    size = {"profile": experiment.PROFILE, "runs": len(steps["random"]), "level of intervals": experiment.LEVEL}
    return Judgement(
        evidence=Evidence(
            "empirical",
            f"steps to a training loss of {THRESHOLD} on {LABELLED} labelled digits, pretrained on all, random over "
            "pretrained as a power of two; a run that never gets there counts as its last step",
            size | {name: str(gain) for name, gain in gains.items()},
        ),
        confirmed=all(gain.decision == "larger" for gain in gains.values()),
        conditions="Deep networks of sigmoids (shown for three hidden layers), which random weights leave on a "
        "plateau, as each layer passes on at most a quarter of a gradient; and the labels depend on what the inputs' "
        "reconstruction needs.",
        counterexample=Counterexample(
            "a linear autoencoder with one unit keeps the axis of the largest variance; here the label is the other",
            {"x": points.tolist(), "label": "sign of the second coordinate", "random weights": [1.0, 1.0]},
            "the pretrained unit tells at least as many labels as the random one",
            {"pretrained": learned, "random": drawn},
            confirmed=learned < drawn,
        ),
        explanation="Pretraining learns the distribution of the inputs, and helps as far as that bears on the labels "
        "(Erhan et al. 2010). Rectifiers started by He's rule do not stall, and gain little: Glorot et al. (2011) "
        "found no gain with all labels given.",
        figures=(Figure("Digits, three sigmoid layers", "step", "mean training loss", figures, x_scale="log"),),
    )
