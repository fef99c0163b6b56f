"""Known mistakes in LeNet-5, AlexNet and Network in Network, each a changed declaration."""

from dataclasses import replace
from typing import Any

from dlcheck.models import mistakes as m
from dlcheck.models.declaration import (
    Activation,
    BatchNorm,
    Conv,
    Dropout,
    Flatten,
    Head,
    Layers,
    Linear,
    Network,
    Pool,
    ResponseNorm,
    rows,
)
from dlcheck.models.mistakes import (
    DEAD,
    FLAT,
    LINEAR,
    OVERFITS,
    SLOW,
    WEIGHTS,
    WORSE,
    each,
    edit,
    edited,
    ended,
    faults,
    nowhere,
    with_fields,
    without,
)
from dlcheck.models.networks import LENET_TABLE
from dlcheck.models.vgg_faults import VGG

# LeNet-5


def _dead_second_convolution(layers: Layers) -> Layers:
    """conv1, squash, pool, and what is dense; conv2 leads nowhere."""
    second = next(i for i, layer in enumerate(layers) if isinstance(layer, Conv) and i)
    flatten = next(i for i, layer in enumerate(layers) if isinstance(layer, Flatten))
    return (*layers[:second], Head(layers[second : second + 1], used=False), *layers[flatten:])


def _second_squash_early(layers: Layers) -> Layers:
    """conv, squash, pool, squash, conv, pool."""
    second = next(i for i, layer in enumerate(layers) if isinstance(layer, Conv) and i)
    after = next((i for i in range(second, len(layers)) if m.relu(layers[i])), second)
    return (*layers[:second], layers[after], *layers[second:after], *layers[after + 1 :])


_WRONG_TABLE = (*LENET_TABLE[:12], (0, 1, 2, 3), (2, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 3, 4, 5))


def _convolutions_unsquashed(layers: Layers) -> Layers:
    flatten = next(i for i, layer in enumerate(layers) if isinstance(layer, Flatten))
    return (*(layer for layer in layers[:flatten] if not m.relu(layer)), *layers[flatten:])


_LENET = (
    *faults("lenet5", "", "the second pool is fed from the first convolution", DEAD,
            "pool2 = pool(squash(conv2(pool1)))",
            edit(_dead_second_convolution), ("yeyun111/dlcv_for_beginners/issues/6",),
            lenet5="lenet-second-pool-fed-from-conv1"),
    *faults("lenet5", "", "the second squashing follows the first pool", LINEAR, "conv, tanh, pool, conv, tanh, pool",
            edit(_second_squash_early), ("intel/ipex-llm/issues/2411",), lenet5="lenet-tanh-pool-order"),
    *faults("lenet5", "wrong-table", "the connection table differs from table I", WEIGHTS,
            "0134 1245 0235 for maps 12, 13 and 14", edit(each(m.conv, with_fields(table=_WRONG_TABLE), 1))),
    *faults("lenet5", "no-f6", "the dense layer of 84 is missing", WORSE, "120, 84, then the classes",
            edit(each(m.linear, nowhere, 1), each(m.relu, nowhere, -1))),
    *faults("lenet5", "kernel-3", "the kernels are 3 x 3", WORSE, "kernels of 5 x 5",
            edit(each(m.conv, with_fields(kernel=3)))),
    *faults("lenet5", "c3-narrow", "the second convolution has 12 maps", WORSE, "6 maps, then 16",
            edit(each(m.conv, with_fields(channels=12, table=()), 1))),
    *faults("lenet5", "dense-linear", "nothing squashes between the dense layers", LINEAR, "squash after 120 and 84",
            edit(each(m.relu, nowhere, -1, -2))),
    *faults("lenet5", "dense-first", "nothing squashes after the layer of 120", LINEAR, "squash after 120 and 84",
            edit(each(m.relu, nowhere, -2))),
    *faults("lenet5", "dense-second", "nothing squashes after the layer of 84", LINEAR, "squash after 120 and 84",
            edit(each(m.relu, nowhere, -1))),
    *(
        fault
        for number, place in enumerate(("first", "second"))
        for fault in faults("lenet5", f"unsquashed-{place}", f"nothing squashes after the {place} convolution", LINEAR,
                            "squash after each convolution", without(m.relu, number))
    ),
    *faults("lenet5", "dropout-added", "there is dropout between the dense layers", WEIGHTS, "no dropout",
            edit(lambda layers: (*layers[:-1], Dropout(), layers[-1]))),
    *faults("lenet5", "sigmoid-output", "the output goes through a sigmoid", FLAT, "give the scores as they are",
            ended(Activation("sigmoid"))),
    *faults("lenet5", "unsquashed", "nothing squashes beside the pools", LINEAR, "squash after each convolution",
            edit(_convolutions_unsquashed)),
    *faults("lenet5", "second-pool-stride", "the second pool overlaps: stride 1", SLOW, "2 x 2 with stride 2",
            edit(each(m.pool, with_fields(stride=1), 1))),
    *faults("lenet5", "linear", "nothing squashes anywhere", LINEAR, "squash after each layer but the last",
            edit(each(m.relu, nowhere))),
    *faults("lenet5", "pool-stride", "the pools overlap: stride 1", SLOW, "2 x 2 with stride 2",
            edit(each(m.pool, with_fields(stride=1)))),
    *faults("lenet5", "one-pool", "the second pool is missing", SLOW, "pool after each convolution",
            edit(each(m.pool, nowhere, 1))),
    *faults("lenet5", "padded-second", "the second convolution is padded too", SLOW, "pad the first only, if any",
            edit(each(m.conv, with_fields(padding=2), 1))),
    *faults("lenet5", "squashed-output", "the output is squashed", FLAT, "give the scores as they are",
            ended(Activation("tanh"))),
    *faults("lenet5", "relu-output", "the output goes through ReLU", FLAT, "give the scores as they are",
            ended(Activation("relu"))),
)  # fmt: skip


# AlexNet


def _unpadded(network: Network) -> dict[str, Any]:
    return {"image": (3, 224, 224)}


def _normalized_first(layers: Layers) -> Layers:
    made = list(layers)
    for index, layer in enumerate(made[:-1]):
        if m.relu(layer) and isinstance(made[index + 1], ResponseNorm):
            made[index], made[index + 1] = made[index + 1], layer
    return tuple(made)


_PLACES = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7")

_ALEXNET = (
    *(
        fault
        for number, place in enumerate(_PLACES)
        for fault in faults(
            "alexnet", f"relu-missing-{place}", f"there is no ReLU after {place}", LINEAR, f"relu({place}(x))",
            without(m.relu, number), ("soumith/convnet-benchmarks/pull/92",),
            **({"alexnet": "alexnet-relu-missing"} if place == "conv3" else {}),
        )
    ),
    *faults("alexnet", "no-overlap", "the pools do not overlap: 2 x 2", WORSE, "3 x 3 pools with stride 2",
            edit(each(m.pool, with_fields(kernel=2)))),
    *faults("alexnet", "first-pool-2x2", "the first pool is 2 x 2", WORSE, "3 x 3 pools with stride 2",
            edit(each(m.pool, with_fields(kernel=2), 0))),
    *faults("alexnet", "average-pool", "pools average", WORSE, "the maximum of 3 x 3",
            edit(each(m.pool, with_fields(kind="average")))),
    *faults("alexnet", "conv4-ungrouped", "conv4 sees both towers", SLOW, "groups=2 in conv 2, 4 and 5",
            edit(each(m.conv, with_fields(groups=1), 3))),
    *faults("alexnet", "batch-norm", "batches are normalised after every convolution", WEIGHTS,
            "local responses, or nothing", edit(each(m.conv, lambda layer: (layer, BatchNorm())))),
    *faults("alexnet", "last-response-norm", "responses are normalised after conv5 too", WORSE,
            "normalise after the ReLU of conv 1 and 2",
            edit(each(m.relu, lambda layer: (layer, ResponseNorm()), 4))),
    *faults("alexnet", "no-response-norm", "local response normalisation is missing", WORSE,
            "normalise after the ReLU of conv 1 and 2", without(m.response_norm)),
    *faults("alexnet", "one-response-norm", "the second response normalisation is missing", WORSE,
            "normalise after the ReLU of conv 1 and 2", without(m.response_norm, 1)),
    *faults("alexnet", "response-norm-before-relu", "responses are normalised before ReLU", WORSE,
            "conv, ReLU, normalise, pool", edit(_normalized_first)),
    *faults("alexnet", "conv2-ungrouped", "conv2 sees both towers", SLOW, "groups=2 in conv 2, 4 and 5",
            edit(each(m.conv, with_fields(groups=1), 1))),
    *faults("alexnet", "conv45-ungrouped", "conv4 and conv5 see both towers", SLOW, "groups=2 in conv 2, 4 and 5",
            edit(each(m.conv, with_fields(groups=1), 3, 4))),
    *faults("alexnet", "conv3-grouped", "conv3 sees one tower only", WORSE, "groups=1 in conv3",
            edit(each(m.conv, with_fields(groups=2), 2))),
    *faults("alexnet", "last-pool", "the pool after conv5 is missing", SLOW, "pool after conv 1, 2 and 5",
            without(m.pool, 2)),
    *faults("alexnet", "no-conv5", "one of the five convolutions is missing", WORSE, "five convolutions",
            edit(each(m.conv, nowhere, 3), each(m.relu, nowhere, 3))),
    *faults("alexnet", "no-fc7", "the second hidden dense layer is missing", WORSE, "4096, 4096, then the classes",
            edit(each(m.linear, nowhere, 1), each(m.relu, nowhere, -1), each(m.dropout, nowhere, 1))),
    *faults("alexnet", "dense-1024", "the hidden dense layers have 1024 features", WORSE, "4096 features",
            edit(each(m.linear, with_fields(features=1024), 0, 1))),
    *faults("alexnet", "unpadded-224", "images of 224 meet a first convolution for 227", WORSE,
            "padding=2, or images of 227",
            lambda c: edited(c, each(m.conv, with_fields(padding=0), 0), fields=_unpadded)),
    *faults("alexnet", "stride-2", "the first convolution has stride 2", SLOW, "stride 4",
            edit(each(m.conv, with_fields(stride=2), 0))),
    *faults("alexnet", "conv2-unpadded", "conv2 is not padded", WORSE, "padding 2 of a 5 x 5 kernel",
            edit(each(m.conv, with_fields(padding=0), 1))),
    *faults("alexnet", "conv2-3x3", "the kernel of conv2 is 3 x 3", WORSE, "11 x 11, 5 x 5, then 3 x 3",
            edit(each(m.conv, with_fields(kernel=3, padding=1), 1))),
)  # fmt: skip


# Network in network


def _second_pointwise_out(layers: Layers) -> Layers:
    """The middle 1 x 1 convolution of each block is left out, with its ReLU."""
    convolutions = [i for i, layer in enumerate(layers) if isinstance(layer, Conv)]
    dropped = {j for i in convolutions[1::3] for j in (i, i + 1)}
    return tuple(layer for index, layer in enumerate(layers) if index not in dropped)


def _last_width(layers: Layers) -> int:
    last = [layer for layer in m._all(layers) if isinstance(layer, (Conv, Linear))][-1]
    return last.channels if isinstance(last, Conv) else last.features


def _maximum(component: str) -> m.Declare:
    """The maximum of each map, whatever its size, in the place of the average."""
    declare = m.settings(component)

    def mistaken(**given: Any) -> Network:
        right = declare(**given)
        size = next(row.before.shape[1] for row in rows(right) if m.final_pool(row.layer))
        layers = each(m.final_pool, lambda layer: (Pool("max", size, size),))(right.layers)
        return replace(right, layers=layers)

    return mistaken


def _dense_end(layers: Layers) -> Layers:
    return (*each(m.final_pool, nowhere)(layers), Linear(_last_width(layers)))


def _with_dense(layers: Layers) -> Layers:
    return (*layers, Linear(_last_width(layers)))


_NIN = (
    *faults("nin", "one-pointwise", "a block has one 1 x 1 convolution, not two", WORSE,
            "a convolution and two of 1 x 1", edit(_second_pointwise_out)),
    *faults("nin", "pointwise-linear", "there is no ReLU between the 1 x 1 convolutions", LINEAR,
            "ReLU after every convolution", edit(each(m.relu, nowhere, 1, 4, 7, 10))),
    *faults("nin", "first-relu", "there is no ReLU after the large convolutions", LINEAR,
            "ReLU after every convolution", edit(each(m.relu, nowhere, 0, 3, 6, 9))),
    *faults("nin", "flattened", "a dense layer takes the place of the global average", OVERFITS,
            "the average of each class's map", edit(_dense_end)),
    *faults("nin", "dense-after-average", "a dense layer follows the global average", WEIGHTS,
            "the average of each class's map is its score", edit(_with_dense)),
    *faults("nin", "maximum", "the maximum of each map is taken at the end", WORSE, "the average",
            _maximum),
    *(
        fault
        for number in range(8)
        for fault in faults("nin", f"relu-missing-{number + 1}", f"there is no ReLU after convolution {number + 1}",
                            LINEAR, "ReLU after every convolution", without(m.relu, number))
    ),
    *faults("nin", "pointwise-3x3", "1 x 1 convolutions are 3 x 3", SLOW, "1 x 1 after each large convolution",
            edit(each(m.pointwise, with_fields(kernel=3, padding=1)))),
    *faults("nin", "first-pointwise-3x3", "the first 1 x 1 convolution is 3 x 3", SLOW,
            "1 x 1 after each large convolution", edit(each(m.pointwise, with_fields(kernel=3, padding=1), 0))),
    *faults("nin", "average-pool", "the first pool averages", WORSE, "the maximum of 3 x 3",
            edit(each(m.pool, with_fields(kind="average"), 0))),
    *faults("nin", "no-overlap", "pools are 2 x 2", WORSE, "3 x 3 with stride 2",
            edit(each(m.pool, with_fields(kernel=2, padding=0)))),
    *faults("nin", "narrow", "the first block does not narrow to 96 maps", SLOW, "192, 160, 96",
            edit(each(m.conv, with_fields(channels=192), 1, 2))),
    *faults("nin", "kernel-3", "the kernel of the first block is 3 x 3", WORSE, "5 x 5, 5 x 5, then 3 x 3",
            edit(each(m.conv, with_fields(kernel=3, padding=1), 0))),
    *faults("nin", "pool-missing", "a pool is missing", SLOW, "pool after the first and the second block",
            without(m.pool, 1)),
    *faults("nin", "one-dropout", "dropout follows one block only", OVERFITS,
            "dropout after the first and the second block", without(m.dropout, 1)),
)  # fmt: skip


CLASSIC = (*_LENET, *_ALEXNET, *VGG, *_NIN)
