"""Known mistakes in VGG, and in the dense layers that it shares with AlexNet, each a changed declaration."""

from dataclasses import replace

from dlcheck.models import mistakes as m
from dlcheck.models.declaration import Activation, BatchNorm, Conv, Dropout, Flatten, GlobalPool, Layers, Pool
from dlcheck.models.mistakes import (
    FLAT,
    LINEAR,
    NOISY,
    OVERFITS,
    SLOW,
    WEIGHTS,
    WORSE,
    Edit,
    another,
    each,
    edit,
    ended,
    faults,
    nowhere,
    with_fields,
    without,
)

_VGGS = ("vgg11", "vgg13", "vgg16", "vgg19")


def _stages(layers: Layers) -> list[list[int]]:
    """The places of the activations of each stage."""
    found: list[list[int]] = [[]]
    for index, layer in enumerate(layers):
        if isinstance(layer, Flatten):
            break
        if isinstance(layer, Pool):
            found.append([])
        elif m.relu(layer):
            found[-1].append(index)
    return [stage for stage in found if stage]


def _one_relu(layers: Layers) -> Layers:
    kept = {stage[0] for stage in _stages(layers)}
    dropped = {index for stage in _stages(layers) for index in stage} - kept
    return tuple(layer for index, layer in enumerate(layers) if index not in dropped)


def _last_relu(layers: Layers) -> Layers:
    dropped = {index for stage in _stages(layers) for index in stage[:-1]}
    return tuple(layer for index, layer in enumerate(layers) if index not in dropped)


def _dropout_first(layers: Layers) -> Layers:
    flatten = next(i for i, layer in enumerate(layers) if isinstance(layer, Flatten))
    first, relu, _, second, _, _, last = layers[flatten + 1 :]
    return (*layers[: flatten + 1], Dropout(), first, relu, Dropout(), second, relu, last)


def _normalized_late(layers: Layers) -> Layers:
    """Batch normalisation behind the ReLU of every convolution, whether there is any or not."""
    plain = each(m.norm, nowhere)(layers)
    flatten = next(i for i, layer in enumerate(plain) if isinstance(layer, Flatten))
    return (*each(m.relu, lambda layer: (layer, BatchNorm()))(plain[:flatten]), *plain[flatten:])


def _wider_end(layers: Layers) -> Layers:
    convolutions = [i for i, layer in enumerate(layers) if isinstance(layer, Conv)]
    start = next(i for i in convolutions if layers[i].channels == 512)  # type: ignore[union-attr]
    pools = [i for i, layer in enumerate(layers) if isinstance(layer, Pool) and i > start]
    return tuple(
        replace(layer, channels=1024) if isinstance(layer, Conv) and i > pools[0] else layer
        for i, layer in enumerate(layers)
    )


def _pool_moved(number: int, early: bool) -> Edit:
    """A pool before the convolution that it should follow, or behind the one that should follow it."""

    def moved(layers: Layers) -> Layers:
        at = [i for i, layer in enumerate(layers) if m.pool(layer)][number]
        rest = (*layers[:at], *layers[at + 1 :])
        convolutions = [i for i, layer in enumerate(rest) if m.conv(layer)]
        before = [i for i in convolutions if i < at]
        after = [i for i in (*convolutions, len(rest)) if i >= at]
        place = before[-1] if early else after[1]
        if not early and any(m.pool(layer) for layer in rest[at:place]):
            place = next(i for i in range(at, place) if m.pool(rest[i]))
        return (*rest[:place], layers[at], *rest[place:])

    return moved


_HIDDEN_DROPOUT = ("alexnet", *_VGGS)

VGG = (
    *faults(_HIDDEN_DROPOUT, "one-dropout", "the second dropout is missing", OVERFITS,
            "dropout at both hidden dense layers", without(m.dropout, 1)),
    *faults(_HIDDEN_DROPOUT, "first-dropout", "the first dropout is missing", OVERFITS,
            "dropout at both hidden dense layers", without(m.dropout, 0)),
    *faults(_HIDDEN_DROPOUT, "output-dropout", "the output is dropped too", NOISY, "no dropout behind the last layer",
            ended(Dropout())),
    *faults(_VGGS, "batch-norm-late", "batches are normalised after ReLU", WORSE, "convolution, normalisation, ReLU",
            edit(_normalized_late)),
    *faults(_VGGS, "stage-dropout", "there is dropout after every stage", WEIGHTS, "dropout between the dense layers",
            edit(each(m.pool, lambda layer: (layer, Dropout())))),
    *faults(_VGGS, "one-relu-per-stage", "a stage has one ReLU, after its first convolution", LINEAR,
            "a ReLU of its own name after each convolution", edit(_one_relu),
            ("hysts/pytorch_image_classification/issues/20",), vgg16="vgg-one-relu-per-stage"),
    *faults(_VGGS, "relu-at-end-of-stage", "a stage has one ReLU, before its pool", LINEAR,
            "a ReLU after each convolution", edit(_last_relu)),
    *faults(_VGGS, "dropout-misplaced", "dropout stands before the dense layers", OVERFITS,
            "Linear, ReLU, Dropout, Linear, ReLU, Dropout, Linear", edit(_dropout_first),
            ("pytorch/vision/issues/92", "pytorch/vision/issues/549"), vgg16="vgg-classifier-dropout-misplaced"),
    *faults(_VGGS, "fc-relu", "there is no ReLU between the dense layers", LINEAR, "ReLU after both of 4096",
            without(m.relu, -1, -2)),
    *faults(_VGGS, "fc6-relu", "there is no ReLU after the first dense layer", LINEAR, "ReLU after both of 4096",
            without(m.relu, -2)),
    *faults(_VGGS, "fc7-relu", "there is no ReLU after the second dense layer", LINEAR, "ReLU after both of 4096",
            without(m.relu, -1)),
    *(
        fault
        for other in _VGGS
        for fault in faults(
            tuple(name for name in _VGGS if name != other), f"is-{other}", f"it has the layers of {other}", WEIGHTS,
            "the stages of table 1", lambda c, other=other: another(c, other),
        )
    ),
    *faults(_VGGS, "conv-missing", "the last convolution is missing", WORSE, "the stages of table 1",
            edit(each(m.conv, nowhere, -1), each(m.norm, nowhere, -1), each(m.relu, nowhere, -3))),
    *faults(_VGGS, "doubled", "widths go on doubling to 1024", SLOW, "64, 128, 256, 512, 512",
            edit(_wider_end)),
    *faults(_VGGS, "last-pool", "the last pool is missing", SLOW, "a pool after each of five stages",
            without(m.pool, -1)),
    *faults(_VGGS[:3], "unpadded", "the convolutions are not padded", WORSE, "padding 1",
            edit(each(m.large, with_fields(padding=0)))),
    *faults(_VGGS, "kernel-5", "the kernels are 5 x 5", SLOW, "3 x 3 with padding 1",
            edit(each(m.large, with_fields(kernel=5, padding=2)))),
    *faults(_VGGS, "average-pool", "pools average", WORSE, "the maximum of 2 x 2",
            edit(each(m.pool, with_fields(kind="average")))),
    *faults(_VGGS, "overlap", "pools are 3 x 3", WORSE, "2 x 2 with stride 2",
            edit(each(m.pool, with_fields(kernel=3, padding=1)))),
    *faults(_VGGS, "no-fc7", "the second hidden dense layer is missing", WORSE, "4096, 4096, then the classes",
            edit(each(m.linear, nowhere, 1), each(m.relu, nowhere, -1), each(m.dropout, nowhere, 1))),
    *faults(_VGGS, "averaged", "a global average stands before the dense layers", WEIGHTS, "flatten 7 x 7 x 512",
            edit(each(lambda layer: isinstance(layer, Flatten), lambda layer: (GlobalPool(), layer)))),
    *(
        fault
        for number, place in enumerate(("first", "second", "third", "fourth", "fifth"))
        for early in (True, False)
        for fault in faults(
            _VGGS if number >= 2 else _VGGS[1:] if early else _VGGS, f"{place}-pool-{'early' if early else 'late'}",
            f"the {place} pool stands one convolution too {'early' if early else 'late'}", WORSE,
            "the stages of table 1", edit(_pool_moved(number, early)),
        )
        if early or number < 4
    ),
    *faults(_VGGS, "last-conv-1x1", "the last convolution is 1 x 1", WORSE, "3 x 3 with padding 1",
            edit(each(m.conv, with_fields(kernel=1, padding=0), -1))),
    *faults(_VGGS, "two-convs-missing", "the last two convolutions are missing", WORSE, "the stages of table 1",
            edit(each(m.conv, nowhere, -1, -2), each(m.norm, nowhere, -1, -2), each(m.relu, nowhere, -3, -4))),
    *faults(_VGGS, "dense-1024", "the hidden dense layers have 1024 features", WORSE, "4096 features",
            edit(each(m.linear, with_fields(features=1024), 0, 1))),
    *faults(_VGGS, "last-pool-averages", "the last pool averages", WORSE, "the maximum, then flatten 7 x 7 x 512",
            edit(each(m.pool, with_fields(kind="average"), -1))),
    *faults(("alexnet", *_VGGS, "nin"), "linear", "there is no ReLU at all", LINEAR, "ReLU after every layer",
            edit(each(m.relu, nowhere))),
    *faults(_VGGS, "relu-output", "the output goes through ReLU", FLAT, "give the scores as they are",
            ended(Activation())),
)  # fmt: skip
