"""The networks on PyTorch: modules built from the declarations, for any device and dtype."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from dlcheck.models import inception, networks, residual
from dlcheck.models.declaration import (
    Activation,
    AdaptivePool,
    BatchNorm,
    Concat,
    Conv,
    Dropout,
    Flatten,
    GlobalPool,
    Head,
    Layer,
    Layers,
    Linear,
    Network,
    Pool,
    ResponseNorm,
    Row,
    Scale,
    Subsample,
    Sum,
    rows,
)
from dlcheck.normalization.torch import local_response_norm


class Model(nn.Sequential):
    """A network as its declaration says; parameters are named by the paths of the declaration's table.

    Shapes: images (N, C, H, W) -> (N, num_classes); in training one with heads gives a tuple, its own output first.
    """

    def __init__(self, network: Network):
        super().__init__(*_modules(network.layers, rows(network)))

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:  # type: ignore[override]
        """The output; in training also those of the heads."""
        heads = []
        for layer in self:
            if not isinstance(layer, _Head):
                images = layer(images)
            elif self.training:
                heads.append(layer(images))
        return (images, *heads) if heads else images


class _Sum(nn.ModuleList):
    def forward(self, x: Tensor) -> Tensor:
        first, *others = (branch(x) for branch in self)
        for other in others:
            first = first + other
        return first


class _Concat(nn.ModuleList):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self], 1)


class _Head(nn.ModuleList):
    def forward(self, x: Tensor) -> Tensor:
        return self[0](x)


class _ConnectedConv(nn.Module):
    """A convolution that has kernels for the connections of a table only."""

    places: Tensor

    def __init__(self, layer: Conv, channels: int):
        super().__init__()
        self.layer = layer
        connections = [(o, i) for o, seen in enumerate(layer.table) for i in seen]
        kernel = layer.kernel if isinstance(layer.kernel, tuple) else (layer.kernel, layer.kernel)
        self.weight = nn.Parameter(torch.empty(len(connections), *kernel))
        self.bias = nn.Parameter(torch.zeros(layer.channels)) if layer.bias else None
        self.register_buffer("places", torch.tensor([o * channels + i for o, i in connections]), persistent=False)
        self.shape = (layer.channels, channels, *kernel)
        fan_in = self.weight.numel() / layer.channels
        nn.init.normal_(self.weight, 0.0, (2 / fan_in) ** 0.5)

    def forward(self, x: Tensor) -> Tensor:
        whole = self.weight.new_zeros(self.shape[0] * self.shape[1], *self.shape[2:])
        whole = whole.index_copy(0, self.places, self.weight).view(self.shape)
        return nn.functional.conv2d(x, whole, self.bias, self.layer.stride, self.layer.padding)


class _ResponseNorm(nn.Module):
    def __init__(self, layer: ResponseNorm):
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return local_response_norm(x, self.layer.size, self.layer.alpha, self.layer.beta, self.layer.k)


class _Scale(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight[:, None, None] + self.bias[:, None, None]


class _Subsample(nn.Module):
    def __init__(self, layer: Subsample):
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        kept = x[:, :, :: self.layer.stride, :: self.layer.stride]
        return nn.functional.pad(kept, (0, 0, 0, 0, 0, self.layer.channels - x.shape[1]))


class _ScaledTanh(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 1.7159 * torch.tanh(2 / 3 * x)


class _AlwaysDropout(nn.Module):
    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(x, self.p, training=True)


def _modules(layers: Layers, table: Iterator[Row]) -> list[nn.Module]:
    """The modules of layers, reading their rows off a table in which branches stand before what joins them."""
    made: list[nn.Module] = []
    for index, layer in enumerate(layers):
        match layer:
            case Sum(inner) | Concat(inner):
                kind = _Sum if isinstance(layer, Sum) else _Concat
                made.append(kind([nn.Sequential(*_modules(branch, table)) for branch in inner]))
                next(table)
            case Head(inner):
                made.append(_Head([nn.Sequential(*_modules(inner, table))]))
                next(table)
            case _:
                # in place only where a layer of the same branch made the tensor: a branch's input is not its own
                made.append(_module(layer, next(table).before.shape, in_place=index > 0))
    return made


def _module(layer: Layer, shape: tuple[int, ...], in_place: bool) -> nn.Module:
    match layer:
        case Conv(table=table) if table:
            return _ConnectedConv(layer, shape[0])
        case Conv(channels, kernel, stride, padding, groups, bias):
            conv = nn.Conv2d(shape[0], channels, kernel, stride, padding, groups=groups, bias=bias)
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            return conv
        case Linear(features, bias):
            return nn.Linear(shape[0], features, bias)
        case BatchNorm(eps, scale, shift):
            norm = nn.BatchNorm2d(shape[0], eps)
            for name in (("weight",) if not scale else ()) + (("bias",) if not shift else ()):
                norm.register_parameter(name, None)
            return norm
        case ResponseNorm():
            return _ResponseNorm(layer)
        case Activation(kind):
            return _activation(kind, in_place)
        case Pool("max", kernel, stride, padding, ceil):
            return nn.MaxPool2d(kernel, stride, padding, ceil_mode=ceil)
        case Pool(_, kernel, stride, padding, ceil):
            return nn.AvgPool2d(kernel, stride, padding, ceil)
        case GlobalPool():
            return nn.AdaptiveAvgPool2d(1)
        case AdaptivePool(size):
            return nn.AdaptiveAvgPool2d(size)
        case Scale():
            return _Scale(shape[0])
        case Flatten():
            return nn.Flatten()
        case Dropout(p, always):
            return _AlwaysDropout(p) if always else nn.Dropout(p)
        case Subsample():
            return _Subsample(layer)
        case _:
            raise TypeError(f"layer was {layer!r}, expected one of dlcheck.models.declaration")


def _activation(kind: str, in_place: bool) -> nn.Module:
    return {
        "relu": lambda: nn.ReLU(in_place),
        "tanh": nn.Tanh,
        "sigmoid": nn.Sigmoid,
        "scaled_tanh": _ScaledTanh,
        "softmax": lambda: nn.Softmax(1),
    }[kind]()


def lenet5(num_classes: int = 10) -> Model:
    """LeNet-5 with all connections, tanh and average pooling."""
    return Model(networks.lenet5(num_classes))


def alexnet(num_classes: int = 1000) -> Model:
    """AlexNet in two groups with local response normalisation."""
    return Model(networks.alexnet(num_classes))


def vgg11(num_classes: int = 1000) -> Model:
    """VGG, configuration A."""
    return Model(networks.vgg11(num_classes))


def vgg13(num_classes: int = 1000) -> Model:
    """VGG, configuration B."""
    return Model(networks.vgg13(num_classes))


def vgg16(num_classes: int = 1000) -> Model:
    """VGG, configuration D."""
    return Model(networks.vgg16(num_classes))


def vgg19(num_classes: int = 1000) -> Model:
    """VGG, configuration E."""
    return Model(networks.vgg19(num_classes))


def nin(num_classes: int = 1000) -> Model:
    """Network in Network, that for CIFAR."""
    return Model(networks.nin(num_classes))


def googlenet(num_classes: int = 1000, heads: str = "none") -> Model:
    """GoogLeNet with local response normalisation; ``heads="5x5"`` adds the auxiliary classifiers."""
    return Model(inception.googlenet(num_classes, heads))


def inception_v2(num_classes: int = 1000) -> Model:
    """BN-Inception."""
    return Model(inception.inception_v2(num_classes))


def inception_v3(num_classes: int = 1000, heads: str = "none") -> Model:
    """Inception v3; ``heads="with"`` adds the auxiliary classifier."""
    return Model(inception.inception_v3(num_classes, heads))


def inception_v4(num_classes: int = 1000) -> Model:
    """Inception v4."""
    return Model(inception.inception_v4(num_classes))


def resnet18(num_classes: int = 1000) -> Model:
    """ResNet-18 with projections where shapes change."""
    return Model(residual.resnet18(num_classes))


def resnet34(num_classes: int = 1000) -> Model:
    """ResNet-34 with projections where shapes change."""
    return Model(residual.resnet34(num_classes))


def resnet50(num_classes: int = 1000) -> Model:
    """ResNet-50 with its strides in the 3 x 3 convolutions."""
    return Model(residual.resnet50(num_classes))


def resnet101(num_classes: int = 1000) -> Model:
    """ResNet-101 with its strides in the 3 x 3 convolutions."""
    return Model(residual.resnet101(num_classes))


def resnet152(num_classes: int = 1000) -> Model:
    """ResNet-152 with its strides in the 3 x 3 convolutions."""
    return Model(residual.resnet152(num_classes))


def cifar_resnet(
    depth: int, num_classes: int = 10, shortcut: str = "A", preactivation: bool = False, plain: bool = False
) -> Model:
    """A residual network for CIFAR-10 of any depth that ``residual.cifar_resnet`` declares."""
    return Model(residual.cifar_resnet(depth, num_classes, shortcut, preactivation, plain))
