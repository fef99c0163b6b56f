"""What the notes say about generated data, judged by seeded runs on real data.

The rule was fixed before the runs that decide: generated images are similar data to train on if a network that saw
nothing else has at least nine tenths of the accuracy above chance that the real images give.
"""

import numpy as np
import torch

from dlcheck.augmentation.transforms import Array, Generator
from dlcheck.component import Source, notes
from dlcheck.evidence import experiment
from dlcheck.evidence.experiment import Data, Network
from dlcheck.judgement import Evidence, Figure, Judgement, claim

REAL, GENERATED = 300, 3000
"""Images to learn from, and images made of them."""
CHANCE, SHARE = 0.1, 0.9
SHRINKAGE = 0.1
"""Share of the common variance in each class's covariance, without which that of 30 images is singular."""


def generate(images: Array, labels: Array, count: int, rng: Generator) -> tuple[Array, Array]:
    """New images (count, D) and their labels: a normal law for each class, fitted to its images (N, D)."""
    classes = np.unique(labels)
    made, named = [], np.repeat(classes, count // len(classes))
    for k in classes:
        own = images[labels == k]
        covariance = (1 - SHRINKAGE) * np.cov(own.T, bias=True) + SHRINKAGE * np.diag(images.var(axis=0))
        made.append(rng.multivariate_normal(own.mean(axis=0), covariance, count // len(classes), method="eigh"))
    return np.concatenate(made), named


def _data(seeds: range) -> dict[str, Data]:
    """Real, generated, and both, each with the same test images."""
    features, target, classes = experiment.bundled("digits")
    parts: dict[str, list[tuple[Array, Array]]] = {"real": [], "generated": [], "both": []}
    tests = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(features))
        x, y = features[order] / 16, target[order]
        real = x[:REAL], y[:REAL]
        made = generate(*real, GENERATED, rng)
        parts["real"].append(real)
        parts["generated"].append(made)
        parts["both"].append((np.concatenate([real[0], made[0]]), np.concatenate([real[1], made[1]])))
        tests.append((x[REAL:], y[REAL:]))
    return {name: Data(name, _stacked(part), _stacked(tests), classes) for name, part in parts.items()}


def _stacked(parts: list[tuple[Array, Array]]) -> tuple[torch.Tensor, torch.Tensor]:
    x, y = (np.stack(list(column)) for column in zip(*parts, strict=True))
    return torch.tensor(x, dtype=torch.float32), torch.tensor(y)


@claim(
    "augment.generative",
    says="A generative model can make similar data to train on.",
    sources=(
        notes("004, Data Augmentation"),
        Source(
            "Goodfellow, Bengio, Courville: Deep learning", "2016, section 20.1", "https://www.deeplearningbook.org"
        ),
    ),
    evidence="empirical",
    verdict="holds",
)
def generative() -> Judgement:
    """Train on real digits, on digits drawn from a law fitted to those, and on both."""
    seeds = experiment.seeds(experiment.PROFILE)
    network = Network((64,), torch.relu, experiment.he)
    runs = {name: experiment.train(data, list(seeds), network, (0.1,), 600) for name, data in _data(seeds).items()}
    reached = {name: curves.score[0, :, -1] for name, curves in runs.items()}
    similar = experiment.paired(reached["generated"] - CHANCE, SHARE * (reached["real"] - CHANCE), 0.0)
    added = experiment.paired(reached["both"], reached["real"], 0.01)
    series = {name: (curves.steps.tolist(), curves.score[0].mean(0).tolist()) for name, curves in runs.items()}
    return Judgement(
        evidence=Evidence(
            "empirical",
            f"a network with 64 hidden units on {REAL} handwritten digits, on {GENERATED} drawn from a normal law for "
            "each class that was fitted to those, and on both, tested on the digits left",
            {
                "seeds": len(seeds),
                "level of intervals": experiment.LEVEL,
                "generated alone, accuracy above chance less 9/10 of that of real ones": str(similar),
                "both less real": str(added),
                **{f"accuracy, {name}": f"{scores.mean():.3f}" for name, scores in reached.items()},
            },
        ),
        confirmed=similar.decision == "larger",
        explanation="It can: here is one that does. What it makes holds no more than was in the images that it was "
        "fitted to and in the form of the model: beside the real images it does not help this network.",
        figures=(Figure("Handwritten digits", "step", "mean test accuracy", series),),
    )
