"""What the known mistakes in networks are made of: changes of a declaration's layers."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

from dlcheck.component import faults_in
from dlcheck.models import reference
from dlcheck.models.declaration import (
    Activation,
    BatchNorm,
    Concat,
    Conv,
    Dropout,
    GlobalPool,
    Head,
    Layer,
    Layers,
    Linear,
    Network,
    Pool,
    ResponseNorm,
    Sum,
    branches,
    shape_through,
)

# What goes wrong, in the words of those whom it happens to.

WORSE = "It trains, to a lower accuracy than the network whose name it has."
LINEAR = "Two layers amount to one linear map: the network is shallower than it looks."
OVERFITS = "It overfits more than the network whose name it has."
WEIGHTS = "Published weights do not fit, and results cannot be compared."
SLOW = "It is slower and larger than it should be, and published weights do not fit."
FLAT = "Gradients shrink: a loss that takes scores squashes them a second time."
DEAD = "Layers that nothing uses are stored, saved and never trained."
UNTRAINED = "Those layers stay as they were drawn."
STUCK = "Gradients do not get through so many layers: the training error stays high."
UNSTABLE = "Activations grow or shrink from layer to layer, and training needs a tiny rate."
NOISY = "The same image gives another answer each time."

Declare = Callable[..., Network]
Edit = Callable[[Layers], Layers]
Matches = Callable[[Layer], bool]
Make = Callable[[str], Declare]


def relu(layer: Layer) -> bool:
    """ReLU, or what squashes in its place."""
    return isinstance(layer, Activation) and layer.kind != "softmax"


def conv(layer: Layer) -> bool:
    """A convolution."""
    return isinstance(layer, Conv)


def large(layer: Layer) -> bool:
    """A convolution of more than 1 x 1."""
    return isinstance(layer, Conv) and layer.kernel != 1


def pointwise(layer: Layer) -> bool:
    """A convolution of 1 x 1."""
    return isinstance(layer, Conv) and layer.kernel == 1


def linear(layer: Layer) -> bool:
    """A dense layer."""
    return isinstance(layer, Linear)


def norm(layer: Layer) -> bool:
    """Batch normalisation."""
    return isinstance(layer, BatchNorm)


def response_norm(layer: Layer) -> bool:
    """Local response normalisation."""
    return isinstance(layer, ResponseNorm)


def dropout(layer: Layer) -> bool:
    """Dropout."""
    return isinstance(layer, Dropout)


def pool(layer: Layer) -> bool:
    """A pool that slides."""
    return isinstance(layer, Pool)


def final_pool(layer: Layer) -> bool:
    """The average over the whole image."""
    return isinstance(layer, GlobalPool)


def added(layer: Layer) -> bool:
    """A sum of branches."""
    return isinstance(layer, Sum)


def joined(layer: Layer) -> bool:
    """Branches joined by channel."""
    return isinstance(layer, Concat)


def head(layer: Layer) -> bool:
    """An auxiliary classifier."""
    return isinstance(layer, Head)


def nowhere(layer: Layer) -> Layers:
    """The layer left out."""
    return ()


def each(matches: Matches, change: Callable[[Layer], Layers], *only: int) -> Edit:
    """Change the layers that match, or those of them with some numbers (from the end if negative), at any depth."""

    def changed(layers: Layers) -> Layers:
        count = sum(map(matches, _all(layers)))
        chosen = {number % count for number in only if count and -count <= number < count}
        return _walked(layers, matches, change, chosen if only else set(range(count)), _Counter())

    return changed


class _Counter:
    def __init__(self) -> None:
        self.value = -1


def _walked(
    layers: Layers, matches: Matches, change: Callable[[Layer], Layers], chosen: set[int], counter: _Counter
) -> Layers:
    made: list[Layer] = []
    for layer in layers:
        if matches(layer):
            counter.value += 1
            if counter.value in chosen:
                made += change(layer)
                continue
        match layer:
            case Sum(inner) | Concat(inner):
                made.append(type(layer)(tuple(_walked(b, matches, change, chosen, counter) for b in inner)))
            case Head(inner):
                made.append(replace(layer, layers=_walked(inner, matches, change, chosen, counter)))
            case _:
                made.append(layer)
    return tuple(made)


def _all(layers: Layers) -> Iterator[Layer]:
    """Every layer, a join before what is inside it."""
    for layer in layers:
        yield layer
        for branch in branches(layer):
            yield from _all(branch)


def with_fields(**changes: Any) -> Callable[[Layer], Layers]:
    """The layer with other fields."""
    return lambda layer: (replace(layer, **changes),)  # type: ignore[type-var]


def wired(change: Callable[[tuple[Layers, ...]], tuple[Layers, ...]]) -> Callable[[Layer], Layers]:
    """A join with other branches."""
    return lambda layer: (type(layer)(change(branches(layer))),)  # type: ignore[call-arg]


def settings(component: str, **changed: Any) -> Declare:
    """The declaration with settings of a caller overridden."""
    declare: Declare = getattr(reference, component)
    known = inspect.signature(declare).parameters
    return lambda **given: declare(**{**given, **{name: value for name, value in changed.items() if name in known}})


def edited(component: str, *edits: Edit, fields: Callable[[Network], dict[str, Any]] = lambda network: {}) -> Declare:
    """The declaration with its layers changed; in a convention in which they cannot be, as it is."""
    declare: Declare = getattr(reference, component)

    def mistaken(**given: Any) -> Network:
        right = declare(**given)
        layers = right.layers
        for edit in edits:
            layers = edit(layers)
        return possible(replace(right, layers=layers, **fields(right)), right)

    return mistaken


def possible(wrong: Network, right: Network) -> Network:
    """The wrong network, or the right one where the layers of the wrong one do not fit together."""
    try:
        return wrong if shape_through(wrong.layers, wrong.image) else right
    except ValueError:
        return right


def another(component: str, other: str) -> Declare:
    """The declaration of another network, as far as that has the conventions given."""
    declare: Declare = getattr(reference, other)
    known = inspect.signature(declare).parameters
    return lambda **given: declare(**{name: value for name, value in given.items() if name in known})


def held(*wrong: str) -> Make:
    """The right layers, whose parameters are held wrongly."""
    return lambda component: edited(component, fields=lambda network: {"holding": wrong})


def flowing(*wrong: str) -> Make:
    """The right layers, through which numbers or gradients go wrongly."""
    return lambda component: edited(component, fields=lambda network: {"flow": wrong})


def normalized_late(layers: Layers) -> Layers:
    """Each normalisation behind the activation that follows it, at any depth."""
    made = [
        type(layer)(tuple(map(normalized_late, layer.branches))) if isinstance(layer, (Concat, Sum)) else layer
        for layer in layers
    ]
    for i, (layer, following) in enumerate(pairwise(layers)):
        if norm(layer) and isinstance(following, Activation):
            made[i], made[i + 1] = following, layer
    return tuple(made)


faults = partial(faults_in, lambda name: name.replace("_", "-"))
"""One mistake in each of some components."""


def edit(*edits: Edit) -> Make:
    """Layers changed."""
    return lambda component: edited(component, *edits)


def without(matches: Matches, *only: int) -> Make:
    """Layers left out."""
    return edit(each(matches, nowhere, *only))


def ended(*layers: Any) -> Make:
    """Further layers at the end."""
    return edit(lambda before: (*before, *layers))
