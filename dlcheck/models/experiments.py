"""What the notes say about deep networks in training, judged by seeded runs on the bundled handwritten digits.

Every rule was fixed before the runs that decide: margins are 0.02 of accuracy and 0.05 of cross-entropy.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dlcheck.component import Case, Source, notes
from dlcheck.evidence import experiment
from dlcheck.evidence.experiment import Curves, Data, Paired
from dlcheck.judgement import Counterexample, Evidence, Figure, Judgement, claim
from dlcheck.models import networks
from dlcheck.models.declaration import Activation, Conv, Linear, Network, Pool

WIDTH = 32
RATE, STEPS = 0.2, 100
SHALLOW, DEEPER, DEEP = 0, 1, 20
"""Units of two layers each between the first layer and the last: 2, 4 and 42 weight layers."""
BRANCH = 0.1
"""What residual branches are multiplied by: small ones add up to little, however many they are."""
ACCURACY, LOSS = 0.02, 0.05
DEPTHS = (1, 5, 10, 20, 50)

_LECUN = Source(
    "LeCun, Bottou, Bengio, Haffner 1998, Gradient-based learning applied to document recognition",
    "section II.B",
    "https://doi.org/10.1109/5.726791",
)
_SIMONYAN = Source("Simonyan, Zisserman 2015", "table 3", "https://arxiv.org/abs/1409.1556")
_HE = Source("He, Zhang, Ren, Sun 2016, Deep residual learning", "figures 1 and 4", "https://arxiv.org/abs/1512.03385")
_HE2 = Source("He et al. 2016, Identity mappings", "section 2", "https://arxiv.org/abs/1603.05027")
_YANG = Source(
    "Yang, Pennington, Rao, Sohl-Dickstein, Schoenholz 2019, A mean field theory of batch normalization",
    "on the explosion of gradients",
    "https://arxiv.org/abs/1902.08129",
)


def _evidence(how: str, **size: Any) -> Evidence:
    fixed = {"profile": experiment.PROFILE, "level of intervals": experiment.LEVEL, "runs": len(_seeds())}
    said = {name: str(value) if isinstance(value, Paired) else value for name, value in size.items()}
    return Evidence("empirical", how, fixed | said)


def _seeds() -> range:
    return experiment.seeds(experiment.PROFILE)


def _normalized(x: Tensor) -> Tensor:
    """Every feature by the batch's mean and deviation, (R, N, D)."""
    centred = x - x.mean(1, keepdim=True)
    return centred * torch.rsqrt(centred.square().mean(1, keepdim=True) + 1e-5)


@dataclass(frozen=True, slots=True, eq=False)
class Stack(experiment.Network):
    """A dense network of units of two layers: x -> ReLU(branch * F(x) + x), or ReLU(F(x)) where ``branch`` is 0."""

    branch: float = 0.0
    batch_norm: bool = True

    def __call__(self, weights: Sequence[Tensor], x: Tensor) -> Tensor:
        """Outputs of every run, (R, N, D) -> (R, N, C)."""
        layers = list(zip(weights[::2], weights[1::2], strict=True))
        x = torch.relu(self._layer(layers[0], x))
        for first, second in zip(layers[1:-1:2], layers[2:-1:2], strict=True):
            y = self._layer(second, torch.relu(self._layer(first, x)))
            x = torch.relu(x + self.branch * y if self.branch else y)
        return torch.baddbmm(layers[-1][1], x, layers[-1][0])

    def _layer(self, layer: tuple[Tensor, Tensor], x: Tensor) -> Tensor:
        y = torch.baddbmm(layer[1], x, layer[0])
        return _normalized(y) if self.batch_norm else y


def _stack(
    units: int, branch: float = 0.0, scale: Callable[[int, int], float] = experiment.he, batch_norm: bool = True
) -> Stack:
    return Stack((WIDTH,) * (1 + 2 * units), torch.relu, scale, branch, batch_norm)


@cache
def _trained(units: int, branch: float, runs: range) -> Curves:
    data = experiment.load("digits", runs)
    return experiment.train(data, runs, _stack(units, branch), (RATE,), STEPS)


def _ends(units: int, branch: float = 0.0) -> tuple[Any, Any]:
    """Training loss and test accuracy at the end, each (S,)."""
    curves = _trained(units, branch, _seeds())
    return curves.loss[0, :, -1], curves.score[0, :, -1]


def _curves(title: str, stacks: Mapping[str, tuple[int, float]]) -> Figure:
    runs = {label: _trained(*stack, _seeds()) for label, stack in stacks.items()}
    series = {label: (each.steps.tolist(), each.loss[0].mean(0).tolist()) for label, each in runs.items()}
    return Figure(title, "step", "mean training loss", series, y_scale="log")


@claim(
    "lenet.prototype",
    says="LeNet set the pattern: convolution, non-linearity, pooling, dense layers; it recognises handwritten digits.",
    sources=(notes("003, classic networks"), _LECUN),
    evidence="exhaustive",
    verdict="holds",
    component="lenet5",
)
def lenet_prototype(implementation: Any) -> Judgement:
    """Read the order of layers off LeNet-5 and the networks after it; train one."""
    case = {"images": [[1, 32, 32]]}
    seen = implementation.observe(Case("layers", case, {"num_classes": 10}, exact=True)).values
    names = ("lenet5", "alexnet", "vgg11", "vgg13", "vgg16", "vgg19")
    orders = {name: _order(getattr(networks, name)()) for name in names}
    accuracy = _lenet_accuracy(_seeds()[:3])
    pattern = ("convolution", "activation", "pool", "dense")
    right = (float(seen["convolutions"][0]), float(seen["dense layers"][0])) == (2, 3)
    size = {"order of layers": {name: ", ".join(order) for name, order in orders.items()}, "accuracy": accuracy}
    return Judgement(
        evidence=Evidence("exhaustive", "every layer of six networks; LeNet-5 trained on 8 x 8 digits, enlarged", size),
        confirmed=right and all(order == pattern for order in orders.values()) and min(accuracy) > 0.9,
        explanation="Each convolution is squashed and pooled, and dense layers end the network, in LeNet-5 as in "
        "AlexNet and VGG after it. The paper reports 0.95 % errors on MNIST.",
    )


def _order(network: Network) -> tuple[str, ...]:
    """The kinds of layers in the order in which they first appear."""
    kinds = {Conv: "convolution", Activation: "activation", Pool: "pool", Linear: "dense"}
    return tuple(dict.fromkeys(kinds[type(layer)] for layer in network.layers if type(layer) in kinds))


@cache
def _lenet_accuracy(runs: range) -> list[float]:
    """Test accuracy of LeNet-5 on digits, for each seed."""
    data = experiment.load("digits", runs)
    with experiment.one_thread():
        return [_one_lenet(data, index, seed) for index, seed in enumerate(runs)]


def _one_lenet(data: Data, index: int, seed: int) -> float:
    draw = experiment.generator(seed, "lenet")
    convolutions = nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2)
    dense = nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10)
    network = nn.Sequential(*convolutions, nn.Flatten(), *dense)
    for parameter in network.parameters():
        nn.init.zeros_(parameter) if parameter.dim() == 1 else nn.init.xavier_normal_(parameter, generator=draw)
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    x, y = (part[index] for part in data.train)
    for _ in range(80):
        pick = torch.randint(len(x), (64,), generator=draw)
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(_enlarged(x[pick])), y[pick]).backward()
        optimizer.step()
    with torch.no_grad():
        return float((network(_enlarged(data.test[0][index])).argmax(1) == data.test[1][index]).double().mean())


def _enlarged(x: Tensor) -> Tensor:
    return nn.functional.interpolate(x.view(-1, 1, 8, 8), size=(32, 32))


@claim(
    "vgg.deeper-is-better",
    says="The VGG family shows that a deeper network is more accurate.",
    sources=(notes("002, VGG"), notes("003, classic networks"), _SIMONYAN, _HE),
    evidence="empirical",
    verdict="refuted",
)
def vgg_deeper_is_better() -> Judgement:
    """Compare the accuracy of plain stacks of 2, 4 and 42 layers."""
    _, shallow = _ends(SHALLOW)
    _, deeper = _ends(DEEPER)
    _, deep = _ends(DEEP)
    first = experiment.paired(deeper, shallow, ACCURACY)
    last = experiment.paired(deep, deeper, ACCURACY)
    return Judgement(
        evidence=_evidence("plain stacks on digits, test accuracy of the same splits", **{"4 against 2": first,
                           "42 against 4": last}),
        confirmed=last.decision == "larger",
        counterexample=Counterexample(
            says="the same plain stack with ten times the layers",
            inputs={"weight layers": [4, 42], "steps": STEPS, "rate": RATE, "width": WIDTH},
            claimed="a higher test accuracy of 42 layers",
            actual=f"{deep.mean():.3f} against {deeper.mean():.3f}",
            confirmed=last.decision == "smaller",
        ),
        correction="Plain networks gain accuracy with depth up to a point and lose it beyond. The family's own table 3 "
        "shows the turn: at scale 256 its 19 layers err more often than its 16 (27.3 % against 27.0 %).",
        explanation="More layers can represent more, but gradient descent reaches less of it: the plain stack of 42 "
        "layers here hardly learns at all. The paper's networks beyond 11 layers were started from the weights of "
        "shallower ones.",
    )  # fmt: skip


@claim(
    "resnet.degradation",
    says="A deeper plain network has a higher training error than a shallower one; residual connections mend that.",
    sources=(notes("002, ResNet"), _HE),
    evidence="empirical",
    verdict="conditional",
)
def resnet_degradation() -> Judgement:
    """Compare the training loss of plain and residual stacks of 2, 4 and 42 layers."""
    shallow, deeper, deep, mended = (_ends(*which)[0] for which in
                                     ((SHALLOW, 0.0), (DEEPER, 0.0), (DEEP, 0.0), (DEEP, BRANCH)))  # fmt: skip
    degraded = experiment.paired(deep, deeper, LOSS)
    repaired = experiment.paired(mended, deep, LOSS)
    kept = experiment.paired(mended, shallow, LOSS)
    early = experiment.paired(deeper, shallow, 0.0)
    return Judgement(
        evidence=_evidence("stacks with batch normalisation on digits, training loss after 100 steps",
                           **{"plain 42 against plain 4": degraded, "residual 42 against plain 42": repaired,
                              "residual 42 against plain 2": kept}),
        confirmed=degraded.decision == "larger" and repaired.decision == "smaller" and kept.decision == "smaller",
        conditions="plain networks beyond the depth that training masters (here 42 layers, not 4); residual branches "
        f"that are small beside the shortcut (here times {BRANCH})",
        counterexample=Counterexample(
            says="plain stacks of few layers: the deeper one has the lower training loss",
            inputs={"weight layers": [2, 4], "steps": STEPS, "rate": RATE},
            claimed="a higher training loss of 4 layers",
            actual=f"{deeper.mean():.3f} against {shallow.mean():.3f}: {early}",
            confirmed=early.decision == "smaller",
        ),
        figures=(_curves("Training of plain and residual stacks", {"plain 4": (DEEPER, 0.0), "plain 42": (DEEP, 0.0),
                                                                  "residual 42": (DEEP, BRANCH)}),),
        explanation="A deeper network could copy the shallower one and be the identity beyond. Plain layers find "
        "that hard to learn; a residual branch has it at zero. Where training masters the plain depth "
        "there is nothing to mend.",
    )  # fmt: skip


@claim(
    "resnet.zero-easier-than-identity",
    says="Learning F(x) = 0 is easier than learning F(x) = x.",
    sources=(notes("002, ResNet"), _HE),
    evidence="empirical",
    verdict="conditional",
)
def resnet_zero_easier_than_identity() -> Judgement:
    """Count steps of gradient descent that two layers need for either target, from either kind of start."""
    random = {target: _steps_to_fit(target, "random", _seeds()) for target in ("zero", "identity")}
    paired = experiment.speedup(random["identity"], random["zero"])
    given = {target: _steps_to_fit(target, "identity", _seeds()) for target in ("zero", "identity")}
    return Judgement(
        evidence=_evidence("two layers with ReLU between, gradient descent to a fifth of the digits' mean square, each "
                           "target at its best rate", **{"steps for x over steps for 0, log2": paired}),
        confirmed=paired.decision == "larger",
        conditions="weights that start small and random, around 0, as those of layers do",
        counterexample=Counterexample(
            says="weights that start as the identity, ReLU(x) - ReLU(-x)",
            inputs={"first layer": "[I, -I]", "second layer": "[I, -I] transposed"},
            claimed="more steps for F(x) = x than for F(x) = 0",
            actual=f"{given['identity'].mean():g} against {given['zero'].mean():g}",
            confirmed=bool((given["identity"] < given["zero"]).all()),
        ),
        explanation="What is near to where training starts is easy to learn: near 0 for random weights, and a shortcut "
        "puts the identity there.",
    )  # fmt: skip


_FIT_RATES = (0.05, 0.1, 0.2)
_FIT_STEPS = 120
_FITTED = 0.2


@cache
def _steps_to_fit(target: str, start: str, runs: range) -> Any:
    """Steps until the mean squared error is at most a fifth, at the rate that needs fewest, (S,)."""
    x = experiment.load("digits", runs).train[0][:, :128]
    goal = torch.zeros_like(x) if target == "zero" else x
    with experiment.one_thread():
        needed = np.array([_fit(x, goal, _started(start, x.shape[2], runs), rate) for rate in _FIT_RATES])
    return needed[experiment.best(needed)]


def _started(start: str, width: int, runs: range) -> list[Tensor]:
    if start == "identity":
        both = torch.cat([torch.eye(width), -torch.eye(width)], 1)
        return [both.expand(len(runs), -1, -1).clone(), both.T.expand(len(runs), -1, -1).clone()]
    drawn = experiment.Network((2 * width,), torch.relu, experiment.he).weights(width, width, runs)
    return [drawn[0], drawn[2]]


def _fit(x: Tensor, goal: Tensor, weights: list[Tensor], rate: float) -> Any:
    """Steps that each run needs, the last step where it never gets there; gradients summed over features."""
    weights = [weight.requires_grad_() for weight in weights]
    needed = np.full(len(x), float(_FIT_STEPS))
    for step in range(_FIT_STEPS):
        error = (torch.relu(x @ weights[0]) @ weights[1] - goal).square()
        reached = (error.mean((1, 2)).detach().numpy() <= _FITTED) & (needed == _FIT_STEPS)
        needed[reached] = step
        if (needed < _FIT_STEPS).all():
            break
        gradients = torch.autograd.grad(error.sum(2).mean(1).sum(), weights)
        with torch.no_grad():
            for weight, gradient in zip(weights, gradients, strict=True):
                weight -= rate / x.shape[2] * gradient
    return needed


def _first_gradients(scale: Callable[[int, int], float], branch: float, batch_norm: bool) -> tuple[Any, Any]:
    """Norms of the gradients of the first and of the last layer of fresh stacks of DEPTHS, each (depths, S)."""
    found = []
    data = experiment.load("digits", _seeds())
    for units in DEPTHS:
        stack = _stack(units, branch, scale, batch_norm)
        weights = [weight.requires_grad_() for weight in stack.weights(data.train[0].shape[2], data.outputs, _seeds())]
        with experiment.one_thread():
            loss = data.loss(stack(weights, data.train[0][:, :256]), data.train[1][:, :256]).sum()
            gradients = torch.autograd.grad(loss, [weights[0], weights[-2]])
        found.append([gradient.square().sum((1, 2)).sqrt().numpy() for gradient in gradients])
    first, last = np.moveaxis(np.array(found), 1, 0)
    return first, last


def _layers() -> list[int]:
    return [2 * units + 2 for units in DEPTHS]


def _by_depth(title: str, first: Mapping[str, Any]) -> Figure:
    series = {label: (_layers(), norms.mean(1).tolist()) for label, norms in first.items()}
    return Figure(title, "weight layers", "norm of the first layer's gradient", series, y_scale="log")


def _halved(fan_in: int, fan_out: int) -> float:
    """Half of He's variance: what ReLU takes away is not made up for."""
    return fan_in**-0.5


def _doubled(fan_in: int, fan_out: int) -> float:
    """Twice He's variance."""
    return 2 * fan_in**-0.5


@claim(
    "resnet.solves-vanishing",
    says="Residual connections solve vanishing gradients, so that networks can be very deep; without them deeper is "
    "not always better.",
    sources=(notes("003, classic networks"), notes("004, gradient disappears"), _HE, _HE2),
    evidence="empirical",
    verdict="conditional",
)
def resnet_solves_vanishing() -> Judgement:
    """Measure the first layer's gradient against depth, with shortcuts of three kinds and without."""
    plain, _ = _first_gradients(_halved, 0.0, False)
    residual, _ = _first_gradients(_halved, BRANCH, False)
    full, _ = _first_gradients(_halved, 1.0, False)
    fall = experiment.paired(np.log2(plain[-1]), np.log2(plain[0]), 1.0)
    stay = experiment.paired(np.log2(residual[-1]), np.log2(residual[0]), 1.0)
    rise = experiment.paired(np.log2(full[-1]), np.log2(full[0]), 1.0)
    deep = experiment.paired(_ends(DEEP)[0], _ends(DEEPER)[0], LOSS)
    return Judgement(
        evidence=_evidence("the first layer's gradient in fresh stacks of 4 to 102 layers, log2 of 102 over 4; plain "
                           "stacks' training loss", **{"plain": fall, f"branches times {BRANCH}": stay,
                                                      "whole branches": rise, "plain 42 against plain 4": deep}),
        confirmed=fall.decision == "smaller" and stay.decision == "equivalent" and deep.decision == "larger",
        conditions="branches whose Jacobians are small: with |J_l| <= e the gradient stays within (1 - e)^L and "
        f"(1 + e)^L, so e must fall like 1/L or the branches be normalised (here times {BRANCH}, of small weights)",
        counterexample=Counterexample(
            says="whole branches of the same weights: the gradient explodes with depth",
            inputs={"weight layers": [4, 102], "variance of weights": "1 / fan-in", "branch": 1.0},
            claimed="a gradient of like size at any depth",
            actual=f"{full[-1].mean():.1e} against {full[0].mean():.1e}",
            confirmed=rise.decision == "larger",
        ),
        figures=(_by_depth("Gradients with shortcuts and without", {"plain": plain, f"shortcut, branch x {BRANCH}":
                                                                    residual, "shortcut, whole branch": full}),),
        explanation="With small branches every factor 1 + J is near 1 and so is their product. A shortcut alone "
        "does not make it so: branches as large as the signal let the gradient grow from unit to "
        "unit.",
    )  # fmt: skip


@claim(
    "resnet.shortcut-prevents-overfitting",
    says="The shortcut's direct path from input to output avoids overfitting.",
    sources=(notes("002, ResNet"), _HE),
    evidence="empirical",
    verdict="refuted",
)
def resnet_shortcut_prevents_overfitting() -> Judgement:
    """Train residual stacks on shuffled labels, which only overfitting can learn."""
    runs = _seeds()
    losses, scores = {}, {}
    for label, branch in (("residual", 1.0), ("plain", 0.0)):
        curves = experiment.train(_shuffled(runs), runs, _stack(2, branch), (RATE,), 2 * STEPS)
        losses[label], scores[label] = curves.loss[0, :, -1], curves.score[0, :, -1]
    gap = experiment.paired(losses["residual"], losses["plain"], LOSS)
    learnt, chance = float(losses["residual"].max()), float(scores["residual"].mean())
    return Judgement(
        evidence=_evidence("six layers, 90 digits with shuffled labels, loss and test accuracy after 200 steps",
                           **{"residual against plain, training loss": gap}),
        confirmed=False,
        counterexample=Counterexample(
            says="a residual stack learns labels that were shuffled by heart",
            inputs={"weight layers": 6, "examples": 90, "labels": "shuffled"},
            claimed="a training loss that stays near that of guessing, ln 10 = 2.3",
            actual=f"a training loss of at most {learnt:.3f} in every run, and a test accuracy of {chance:.2f}",
            confirmed=learnt < 0.23 and chance < 0.2,
        ),
        correction="A shortcut makes deep networks easier to train; it regularises nothing. What a residual network "
        "overfits less it owes to other means: augmentation, weight decay, batch normalisation.",
        explanation="Shuffled labels can only be learned by heart. A network with shortcuts does so as readily as "
        "one without, and so nothing in them keeps it from fitting noise.",
    )  # fmt: skip


def _shuffled(runs: range) -> Data:
    """Digits with a twentieth of them to train on, in an order that has nothing to do with their labels."""
    data = experiment.load("digits", runs, test_share=0.95)
    x, y = data.train
    orders = [torch.randperm(y.shape[1], generator=experiment.generator(seed, "shuffle")) for seed in runs]
    return replace(data, train=(x, torch.stack([row[order] for row, order in zip(y, orders, strict=True)])))


@claim(
    "resnet.bn-solves-exploding",
    says="Exploding and vanishing gradients of a deep network are solved by batch normalisation.",
    sources=(notes("002, ResNet"), _YANG),
    evidence="empirical",
    verdict="refuted",
    formula=r"\|\nabla_{l-1}\|^2 \approx \frac{\pi}{\pi - 1} \|\nabla_l\|^2",
)
def resnet_bn_solves_exploding() -> Judgement:
    """Measure the first layer's gradient against depth with batch normalisation and without, at two scales."""
    large, _ = _first_gradients(_doubled, 0.0, False)
    small, _ = _first_gradients(_halved, 0.0, False)
    normal, last = _first_gradients(_doubled, 0.0, True)
    joined, _ = _first_gradients(_doubled, 1.0, True)
    grown = experiment.paired(np.log2(normal[-1]), np.log2(normal[0]), 1.0)
    rate = float((normal[-1] / normal[-3]).mean() ** (1 / (_layers()[-1] - _layers()[-3])))
    return Judgement(
        evidence=_evidence("the first layer's gradient in fresh plain stacks of 4 to 102 layers, log2 of 102 over 4",
                           **{"with batch normalisation": grown, "growth from layer to layer": rate,
                              "expected": float(np.sqrt(np.pi / (np.pi - 1)))}),
        confirmed=grown.decision == "equivalent",
        counterexample=Counterexample(
            says="a plain stack of 102 layers, each normalised",
            inputs={"weight layers": [4, 102], "width": WIDTH, "examples": 256},
            claimed="a gradient of like size in the first layer at any depth, as in the last",
            actual=f"{normal[-1].mean():.1e} against {normal[0].mean():.1e}; in the last layer {last[-1].mean():.2g}",
            confirmed=grown.decision == "larger",
        ),
        correction="It keeps activations in size whatever the scale of the weights, forwards. Backwards the gradient "
        "of a plain ReLU network grows by sqrt(pi / (pi - 1)) = 1.21 from layer to layer, which 50 layers make 14,000; "
        "shortcuts beside it keep that in bounds.",
        figures=(_by_depth("Gradients with batch normalisation and without", {
            "plain, variance 1/n": small, "plain, variance 4/n": large, "plain, normalised": normal,
            "residual, normalised": joined}),),
        explanation="In the forward pass each normalisation sets the size anew. In the backward pass it divides by "
        "the deviation it found, and ReLU loses some of the variance that this counts on: each layer "
        "makes the gradient a little larger (Yang et al. 2019).",
    )  # fmt: skip
