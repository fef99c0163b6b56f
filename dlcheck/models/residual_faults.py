"""Known mistakes in residual networks, each a changed declaration."""

from collections.abc import Callable
from dataclasses import replace

from dlcheck.models import mistakes as m
from dlcheck.models.declaration import Activation, Conv, Dropout, Head, Layer, Layers, Linear, Pool, Sum
from dlcheck.models.mistakes import (
    LINEAR,
    SLOW,
    STUCK,
    UNSTABLE,
    WEIGHTS,
    WORSE,
    Edit,
    another,
    each,
    edit,
    faults,
    nowhere,
    with_fields,
    without,
)

_BASIC = ("resnet18", "resnet34")
_BOTTLENECKS = ("resnet50", "resnet101", "resnet152")
_ALL = (*_BASIC, *_BOTTLENECKS)
_RELU = Activation()


def _plain(layer: Layer) -> Layers:
    """The residual branch alone."""
    return layer.branches[0]  # type: ignore[union-attr]


def _units(change: Callable[[Layers, Layers], Layers]) -> Edit:
    """Residual units made anew from their branch and their shortcut."""
    return each(m.added, lambda layer: change(*layer.branches))  # type: ignore[union-attr]


def _identities_out(layer: Layer) -> Layers:
    """Only the projections are left of the shortcuts."""
    body, shortcut = layer.branches  # type: ignore[union-attr]
    return (layer,) if shortcut else body


def _relu_after_sum(layers: Layers, after: bool) -> Layers:
    """Without the ReLU that follows each sum; ``after`` puts it at the end of the branch instead."""
    made: list[Layer] = []
    for layer in layers:
        if made and isinstance(made[-1], Sum) and m.relu(layer):
            if after:
                body, shortcut = made[-1].branches
                made[-1] = Sum(((*body, _RELU), shortcut))
            continue
        made.append(layer)
    return tuple(made)


def _no_relu_after_sum(layers: Layers) -> Layers:
    return _relu_after_sum(layers, after=False)


def _relu_before_sum(layers: Layers) -> Layers:
    return _relu_after_sum(layers, after=True)


def _relu_overwrites(layers: Layers) -> Layers:
    """ReLU-only pre-activation, whose ReLU in place rectifies the shortcut too."""
    unactivated = _no_relu_after_sum(layers)

    def unit(body: Layers, shortcut: Layers) -> Layers:
        return (Sum(((_RELU, *body), (_RELU, *shortcut))),)

    return _units(unit)(unactivated)


def _projection(change: Callable[[Layers], Layers]) -> Edit:
    return _units(lambda body, shortcut: (Sum((body, change(shortcut))),))


def _pooled_projection(shortcut: Layers) -> Layers:
    """A projection whose stride is that of an average pool before it."""
    conv, *others = shortcut if shortcut else (None,)
    if not isinstance(conv, Conv) or conv.stride == 1:
        return shortcut
    return (Pool("average", 2, 2), replace(conv, stride=1), *others)


def _from_first_convolution(body: Layers, shortcut: Layers) -> Layers:
    """A shortcut that starts behind the first convolution and its normalisation."""
    later = [i for i, layer in enumerate(body) if isinstance(layer, Conv)][1]
    return (*body[:later], Sum((body[later:], ()))) if not shortcut else (Sum((body, shortcut)),)


def _inner_relu_out(body: Layers, shortcut: Layers) -> Layers:
    return (Sum((tuple(layer for layer in body if not m.relu(layer)), shortcut)),)


def _stride_last(body: Layers, shortcut: Layers) -> Layers:
    """The stride of the branch in its last convolution."""
    places = [i for i, layer in enumerate(body) if isinstance(layer, Conv)]
    stride = max(layer.stride for layer in body if isinstance(layer, Conv))
    moved = tuple(
        replace(x, stride=stride if i == places[-1] else 1) if isinstance(x, Conv) else x for i, x in enumerate(body)
    )
    return (Sum((moved, shortcut)),)


def _last_norm_out(body: Layers, shortcut: Layers) -> Layers:
    return (Sum((body[:-1], shortcut)),)


def _norm_after_sum(body: Layers, shortcut: Layers) -> Layers:
    return Sum((body[:-1], shortcut)), body[-1]


def _stride_out(stage: int) -> Edit:
    """A stage that does not halve the image."""

    def changed(layers: Layers) -> Layers:
        strided = [i for i, layer in enumerate(layers) if isinstance(layer, Sum) and _strides(layer)]
        if len(strided) < 3:
            return layers
        at = strided[stage - 2]
        unit = each(m.conv, with_fields(stride=1))((layers[at],))
        return (*layers[:at], *each(lambda x: hasattr(x, "stride"), with_fields(stride=1))(unit), *layers[at + 1 :])

    return changed


def _strides(layer: Sum) -> bool:
    return any(getattr(inner, "stride", 1) == 2 for branch in layer.branches for inner in branch)


def _first_stage_strided(layers: Layers) -> Layers:
    first, unit = next((i, layer) for i, layer in enumerate(layers) if isinstance(layer, Sum))
    body, shortcut = unit.branches
    width = next(layer.channels for layer in reversed(body) if isinstance(layer, Conv))
    at = next(i for i, layer in enumerate(body) if isinstance(layer, Conv) and layer.kernel == 3)
    strided = (*body[:at], replace(body[at], stride=2), *body[at + 1 :])
    norm = next(layer for layer in layers if m.norm(layer))
    bypass = tuple(replace(x, stride=2) if isinstance(x, Conv) else x for x in shortcut)
    projected = bypass if shortcut else (Conv(width, 1, stride=2, bias=False), norm)
    return (*layers[:first], Sum((strided, projected)), *layers[first + 1 :])


def _stages(layers: Layers) -> list[list[int]]:
    """The places of the units of each stage, told by the width of what they add."""
    found: dict[int, list[int]] = {}
    for index, layer in enumerate(layers):
        if isinstance(layer, Sum):
            width = next(part.channels for part in reversed(layer.branches[0]) if isinstance(part, Conv))
            found.setdefault(width, []).append(index)
    return list(found.values())


def _unit_out(stage: int) -> Edit:
    """One unit less in a stage: its second."""

    def changed(layers: Layers) -> Layers:
        out = _stages(layers)[stage][1]
        return layers[:out] + layers[out + 2 :]

    return changed


def _stages_exchanged(layers: Layers) -> Layers:
    """As many units in the second stage as the third should have, and the other way round."""
    stages = _stages(layers)
    second, third = ([layers[i : i + 2] for i in stages[number]] for number in (1, 2))
    longer = (*second, *(second[1:2] * (len(third) - len(second))))
    shorter = (*third[: len(second) - 1], third[-1])
    units = tuple(layer for unit in (*longer, *shorter) for layer in unit)
    return (*layers[: stages[1][0]], *units, *layers[stages[2][-1] + 2 :])


def _second_relu_out(body: Layers, shortcut: Layers) -> Layers:
    return (Sum((each(m.relu, nowhere, 1)(body), shortcut)),)


def _cifar_stem(layers: Layers) -> Layers:
    pool = next(i for i, layer in enumerate(layers) if isinstance(layer, Pool))
    return (replace(layers[0], kernel=3, stride=1, padding=1), *layers[1:pool], *layers[pool + 1 :])


def _half_expanded(layer: Layer) -> Layers:
    return (replace(layer, channels=layer.channels // 2),)  # type: ignore[union-attr,type-var]


def _wide(layer: Layer) -> bool:
    """A convolution that widens, or projects to what is widened."""
    return isinstance(layer, Conv) and layer.kernel == 1 and layer.channels >= 256 and layer.channels % 256 == 0


def _basic_blocks(body: Layers, shortcut: Layers) -> Layers:
    """Two 3 x 3 convolutions as wide as the bottleneck's end."""
    convolutions = [layer for layer in body if isinstance(layer, Conv)]
    stride, width = max(layer.stride for layer in convolutions), convolutions[-1].channels
    norm, bias = body[-1], convolutions[0].bias
    first = Conv(width, 3, stride, 1, bias=bias)
    return (Sum(((first, norm, _RELU, Conv(width, 3, 1, 1, bias=bias), norm), shortcut)),)


def _hidden_dense(layers: Layers) -> Layers:
    return (*layers[:-1], Linear(512), _RELU, layers[-1])


_ANOTHERS = tuple(
    fault
    for other in _ALL
    for fault in faults(tuple(name for name in _ALL if name != other), f"is-{other}", f"it has the units of {other}",
                        WEIGHTS, "the units of table 1", lambda c, other=other: another(c, other))
)  # fmt: skip

RESIDUAL = (
    *faults(_ALL, "shortcut-twice", "the shortcut is added twice", UNSTABLE, "F(x) + x",
            edit(_units(lambda body, shortcut: (Sum((body, (*shortcut, Sum(((), ()))))),))),
            ("yakhyo/darknet-pytorch/issues/2",), resnet18="resnet-shortcut-added-twice"),
    *faults(_ALL, "last-sum-relu", "the last sum has no ReLU, as if units began with relu_(x)", WORSE,
            "relu(F(x) + x) in every unit, and relu(x), not relu_(x), on what a shortcut needs",
            edit(_relu_overwrites), ("rosinality/vq-vae-2-pytorch/issues/60", "iduta/iresnet/issues/2"),
            resnet18="resnet-inplace-relu-overwrites-identity"),
    *faults(_ALL, "no-shortcut", "there are no shortcuts: the network is plain", STUCK, "relu(F(x) + x)",
            edit(each(m.added, _plain))),
    *faults(_ALL, "shortcut-unused", "the shortcut is made and not added", STUCK, "relu(F(x) + x)",
            edit(_units(lambda body, shortcut: (Head(shortcut, used=False), *body) if shortcut else body))),
    *faults(_ALL, "no-identity", "only units that change the shape have a shortcut", STUCK, "relu(F(x) + x) everywhere",
            edit(each(m.added, _identities_out))),
    *faults(_ALL, "relu-after-sum", "there is no ReLU after the sum", WORSE, "relu(F(x) + x)",
            edit(_no_relu_after_sum)),
    *faults(_ALL, "relu-before-sum", "ReLU stands before the sum, not after it", WORSE, "relu(F(x) + x)",
            edit(_relu_before_sum)),
    *faults(_ALL, "relu-twice", "ReLU stands before the sum as well", WORSE, "the branch ends in normalisation",
            edit(_units(lambda body, shortcut: (Sum(((*body, _RELU), shortcut)),)))),
    *faults(_ALL, "inner-relu", "there is no ReLU inside the branch", LINEAR, "ReLU between the convolutions",
            edit(_units(_inner_relu_out))),
    *faults(_ALL, "relu-first", "ReLU stands before batch normalisation", WORSE, "convolution, normalisation, ReLU",
            edit(_units(lambda body, shortcut: (Sum((m.normalized_late(body), shortcut)),)))),
    *faults(_ALL, "relu-first-throughout", "ReLU stands before all batch normalisation", WORSE,
            "convolution, normalisation, ReLU", edit(m.normalized_late)),
    *faults(_ALL, "stride-late", "a unit halves the image in its last convolution", SLOW,
            "stride in the first 3 x 3 of a unit", edit(_units(_stride_last))),
    *faults(_BOTTLENECKS, "grouped", "the 3 x 3 convolutions have 32 groups", WEIGHTS, "groups=1",
            edit(each(lambda layer: isinstance(layer, Conv) and layer.kernel == 3, with_fields(groups=32)))),
    *faults(_ALL, "stem-3x3", "the first kernel is 3 x 3", WORSE, "7 x 7 with stride 2",
            edit(each(m.conv, with_fields(kernel=3, padding=1), 0))),
    *faults(_ALL, "dropout-added", "there is dropout before the dense layer", WEIGHTS, "no dropout",
            edit(lambda layers: (*layers[:-1], Dropout(), layers[-1]))),
    *faults(_ALL, "projection-norm", "the projection is not normalised", UNSTABLE, "bn(conv1x1(x)) on the shortcut",
            edit(_projection(lambda shortcut: tuple(x for x in shortcut if not m.norm(x))))),
    *faults(_ALL, "projection-relu", "the projection goes through ReLU", WORSE, "bn(conv1x1(x)) on the shortcut",
            edit(_projection(lambda shortcut: (*shortcut, _RELU) if shortcut else ()))),
    *faults(_ALL, "projection-3x3", "the projection is 3 x 3", SLOW, "a 1 x 1 convolution",
            edit(_projection(each(m.pointwise, with_fields(kernel=3, padding=1))))),
    *faults(_ALL, "projection-pooled", "the projection's stride is that of a pool", WEIGHTS,
            "a 1 x 1 convolution with stride 2", edit(_projection(_pooled_projection))),
    *faults(_BASIC, "shortcut-late", "the shortcut starts behind the first convolution", WORSE, "F(x) + x",
            edit(_units(_from_first_convolution))),
    *faults(_ALL, "last-norm", "the last convolution of a branch is not normalised", UNSTABLE,
            "bn(conv(x)) before the sum", edit(_units(_last_norm_out))),
    *faults(_ALL, "norm-after-sum", "the sum is normalised, not the branch", WORSE, "relu(bn(conv(x)) + x)",
            edit(_units(_norm_after_sum))),
    *faults(_ALL, "no-norm", "batch normalisation is missing", UNSTABLE, "convolution, normalisation, ReLU",
            without(m.norm)),
    *faults(_ALL, "stem-norm", "the first convolution is not normalised", UNSTABLE, "convolution, normalisation, ReLU",
            without(m.norm, 0)),
    *faults(_ALL, "stem-relu", "there is no ReLU after the first convolution", LINEAR,
            "convolution, normalisation, ReLU, pool", without(m.relu, 0)),
    *faults(_ALL, "stem-pool", "the first pool is missing", SLOW, "a 3 x 3 pool with stride 2 after the stem",
            edit(each(m.pool, nowhere, 0))),
    *faults(_ALL, "stem-average", "the first pool averages", WORSE, "the maximum of 3 x 3",
            edit(each(m.pool, with_fields(kind="average"), 0))),
    *faults(_ALL, "stem-small-pool", "the first pool is 2 x 2", WORSE, "3 x 3 with stride 2",
            edit(each(m.pool, with_fields(kernel=2, padding=0), 0))),
    *faults(_ALL, "stem-stride", "the first convolution has stride 1", SLOW, "7 x 7 with stride 2",
            edit(each(m.conv, with_fields(stride=1), 0))),
    *faults(_ALL, "stem-cifar", "the stem is that for CIFAR: 3 x 3, no pool", SLOW, "7 x 7 with stride 2, then a pool",
            edit(_cifar_stem)),
    *faults(_ALL, "stage-4-stride", "the last stage does not halve the image", SLOW, "stride 2 in stages 2, 3 and 4",
            edit(_stride_out(4))),
    *faults(_ALL, "stage-2-stride", "the second stage does not halve the image", SLOW, "stride 2 in stages 2, 3 and 4",
            edit(_stride_out(2))),
    *faults(_ALL, "stage-1-stride", "the first stage halves the image too", WORSE, "stride 2 in stages 2, 3 and 4",
            edit(_first_stage_strided)),
    *faults(_ALL, "unit-missing", "the last stage lacks a unit", WORSE, "the units of table 1", edit(_unit_out(3))),
    *(
        fault
        for stage, place in enumerate(("first", "second", "third"))
        for fault in faults(_ALL, f"{place}-unit-missing", f"the {place} stage lacks a unit", WORSE,
                            "the units of table 1", edit(_unit_out(stage)))
    ),
    *faults(_ALL[1:], "stages-exchanged", "the second and third stage exchange their numbers of units", WORSE,
            "the units of table 1", edit(_stages_exchanged)),
    *faults(_BOTTLENECKS, "second-relu", "there is no ReLU after the 3 x 3 convolutions", LINEAR,
            "ReLU between the convolutions", edit(_units(_second_relu_out))),
    *faults(_ALL, "linear", "there is no ReLU at all", LINEAR, "ReLU between the convolutions, and after sums",
            edit(each(m.relu, nowhere))),
    *faults(_ALL, "stem-pool-unpadded", "the first pool is not padded", WORSE, "padding=1, or ceil_mode=True",
            edit(each(m.pool, with_fields(padding=0, ceil=False), 0))),
    *_ANOTHERS,
    *faults(_ALL, "flattened", "the final average is missing", SLOW, "the average of each map, then one dense layer",
            edit(each(m.final_pool, nowhere))),
    *faults(_ALL, "maximum", "the maximum of each map is taken at the end", WORSE, "the average",
            edit(each(m.final_pool, lambda layer: (Pool("max", 7, 7),)))),
    *faults(_ALL, "hidden-dense", "there is a hidden dense layer", WEIGHTS, "one dense layer, for the classes",
            edit(_hidden_dense)),
    *faults(_ALL, "relu-output", "the output goes through ReLU", m.FLAT, "give the scores as they are",
            m.ended(_RELU)),
    *faults(_BOTTLENECKS, "half-expanded", "bottlenecks end twice as wide, not four times", WORSE,
            "4 times the width of the 3 x 3", edit(each(_wide, _half_expanded))),
    *faults(_BOTTLENECKS, "basic-blocks", "units have two 3 x 3, not 1 x 1, 3 x 3, 1 x 1", SLOW,
            "bottlenecks from 50 layers on", edit(_units(_basic_blocks))),
)  # fmt: skip
