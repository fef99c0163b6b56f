"""Residual networks, for ImageNet and CIFAR-10, after and before activation, and their plain twins."""

from itertools import pairwise

from dlcheck.models.declaration import (
    Activation,
    BatchNorm,
    Conv,
    Flatten,
    GlobalPool,
    Layers,
    Linear,
    Network,
    Pool,
    Subsample,
    Sum,
)

_RELU, _NORM = Activation(), BatchNorm()


def resnet18(
    num_classes: int = 1000, shortcut: str = "B", conv_bias: bool = False, stem_pool: str = "padded"
) -> Network:
    """ResNet with 18 weight layers; He, Zhang, Ren, Sun 2016 (arXiv 1512.03385), table 1."""
    return _resnet("resnet18", (2, 2, 2, 2), num_classes, shortcut, conv_bias, stem_pool)


def resnet34(
    num_classes: int = 1000, shortcut: str = "B", conv_bias: bool = False, stem_pool: str = "padded"
) -> Network:
    """ResNet with 34 weight layers; He et al. 2016, table 1."""
    return _resnet("resnet34", (3, 4, 6, 3), num_classes, shortcut, conv_bias, stem_pool)


def resnet50(
    num_classes: int = 1000,
    stride: str = "3x3",
    shortcut: str = "B",
    conv_bias: bool = False,
    stem_pool: str = "padded",
) -> Network:
    """ResNet with 50 weight layers, in blocks of 1 x 1, 3 x 3 and 1 x 1; He et al. 2016, table 1."""
    return _resnet("resnet50", (3, 4, 6, 3), num_classes, shortcut, conv_bias, stem_pool, stride)


def resnet101(
    num_classes: int = 1000,
    stride: str = "3x3",
    shortcut: str = "B",
    conv_bias: bool = False,
    stem_pool: str = "padded",
) -> Network:
    """ResNet with 101 weight layers; He et al. 2016, table 1."""
    return _resnet("resnet101", (3, 4, 23, 3), num_classes, shortcut, conv_bias, stem_pool, stride)


def resnet152(
    num_classes: int = 1000,
    stride: str = "3x3",
    shortcut: str = "B",
    conv_bias: bool = False,
    stem_pool: str = "padded",
) -> Network:
    """ResNet with 152 weight layers; He et al. 2016, table 1."""
    return _resnet("resnet152", (3, 8, 36, 3), num_classes, shortcut, conv_bias, stem_pool, stride)


def _resnet(
    name: str,
    depths: tuple[int, ...],
    num_classes: int,
    shortcut: str,
    conv_bias: bool,
    stem_pool: str,
    stride: str = "",
) -> Network:
    """The stem, four stages of residual units (of three convolutions where ``stride`` says which has the stride).

    A stage halves the image in its first unit, or in the last one of the stage before.
    """
    pool = Pool("max", 3, 2, padding=1) if stem_pool == "padded" else Pool("max", 3, 2, ceil=True)
    layers: Layers = (Conv(64, 7, stride=2, padding=3, bias=conv_bias), _NORM, _RELU, pool)
    before = 64
    for stage, depth in enumerate(depths):
        width = 64 << stage
        after = 4 * width if stride else width
        for index in range(depth):
            halves = stage < 3 and index == depth - 1 if stride == "last_unit" else stage and not index
            step = 2 if halves else 1
            body = bottleneck(width, after, step, stride, conv_bias) if stride else basic(width, step, conv_bias)
            layers += residual(body, shortcut_to(before, after, step, shortcut, conv_bias))
            before = after
    return Network(name, (3, 224, 224), (*layers, GlobalPool(), Flatten(), Linear(num_classes)))


def basic(width: int, stride: int, bias: bool = False) -> Layers:
    """The residual branch of two 3 x 3 convolutions."""
    return (
        *(Conv(width, 3, stride=stride, padding=1, bias=bias), _NORM, _RELU),
        *(Conv(width, 3, padding=1, bias=bias), _NORM),
    )


def bottleneck(width: int, after: int, stride: int, where: str = "3x3", bias: bool = False) -> Layers:
    """The residual branch of a 1 x 1, a 3 x 3 and a 1 x 1 convolution, with the stride in the first or the second."""
    first, second = (stride, 1) if where == "1x1" else (1, stride)
    return (
        *(Conv(width, 1, stride=first, bias=bias), _NORM, _RELU),
        *(Conv(width, 3, stride=second, padding=1, bias=bias), _NORM, _RELU),
        *(Conv(after, 1, bias=bias), _NORM),
    )


def shortcut_to(before: int, after: int, stride: int, kind: str = "B", bias: bool = False) -> Layers:
    """The shortcut: the identity where channels agree (but with C), else zero channels (A) or a projection (B, C)."""
    if before == after and stride == 1 and kind != "C":
        return ()
    unweighted = kind == "A" or (kind == "B" and before == after)
    return (Subsample(after, stride),) if unweighted else (Conv(after, 1, stride=stride, bias=bias), _NORM)


def residual(body: Layers, shortcut: Layers = ()) -> Layers:
    """A residual unit: ReLU of the branch plus the shortcut."""
    return Sum((body, shortcut)), _RELU


def cifar_resnet(
    depth: int, num_classes: int = 10, shortcut: str = "A", preactivation: bool = False, plain: bool = False
) -> Network:
    """A residual network for CIFAR-10 of 6n + 2 weight layers, or 9n + 2 with bottlenecks before activation.

    Three stages of n units on maps of 32, 16 and 8 with 16, 32 and 64 channels (four times as many after bottlenecks).
    ``plain`` leaves the shortcuts out; ``preactivation`` puts normalisation and ReLU in front of each convolution.
    Shapes: (3, 32, 32) -> (num_classes,).
    Raises: ValueError for a depth that no n gives.
    Source: He et al. 2016 (arXiv 1512.03385), section 4.2; He et al. 2016 (arXiv 1603.05027), figure 1 and table 4.
    """
    per_unit = 9 if preactivation else 6
    if depth < per_unit + 2 or (depth - 2) % per_unit:
        raise ValueError(f"depth was {depth}, expected {per_unit}n + 2 with n of at least 1")
    units, name = (depth - 2) // per_unit, f"cifar_{'plain' if plain else 'resnet'}{depth}"
    body = _preactivated(units, shortcut, plain) if preactivation else _postactivated(units, shortcut, plain)
    return Network(name, (3, 32, 32), (*body, GlobalPool(), Flatten(), Linear(num_classes)))


def _strides(units: int) -> list[int]:
    """The strides of all units: the first of the second and of the third stage halves the image."""
    return [2 if unit in (units, 2 * units) else 1 for unit in range(3 * units)]


def _postactivated(units: int, shortcut: str, plain: bool) -> Layers:
    widths = [16, *(16 << unit // units for unit in range(3 * units))]
    layers: list[Layers] = [(Conv(16, 3, padding=1, bias=False), _NORM, _RELU)]
    for (before, after), stride in zip(pairwise(widths), _strides(units), strict=True):
        body = basic(after, stride)
        joined = residual(body, shortcut_to(before, after, stride, shortcut))
        layers.append((*body, _RELU) if plain else joined)
    return tuple(layer for part in layers for layer in part)


def _preactivated(units: int, shortcut: str, plain: bool) -> Layers:
    """Bottlenecks whose sum goes on untouched; where the shape changes both branches start from the activated input."""
    widths = [16, *(64 << unit // units for unit in range(3 * units))]
    layers: list[Layers] = [(Conv(16, 3, padding=1, bias=False),)]
    for (before, after), stride in zip(pairwise(widths), _strides(units), strict=True):
        body = (
            Conv(after // 4, 1, stride=stride, bias=False),
            *(_NORM, _RELU, Conv(after // 4, 3, padding=1, bias=False)),
            *(_NORM, _RELU, Conv(after, 1, bias=False)),
        )
        if plain:
            layers.append((_NORM, _RELU, *body))
        elif before == after and stride == 1:
            layers.append((Sum(((_NORM, _RELU, *body), ())),))
        else:
            # option A as elsewhere; B is a bare convolution here, for the sum is normalised by the next unit
            bypass = (
                shortcut_to(before, after, stride, "A")
                if shortcut == "A"
                else (Conv(after, 1, stride=stride, bias=False),)
            )
            layers.append((_NORM, _RELU, Sum((body, bypass))))
    return (*(layer for part in layers for layer in part), _NORM, _RELU)
