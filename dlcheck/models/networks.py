"""LeNet-5, AlexNet, VGG and Network in Network, each declared in every documented convention."""

from dlcheck.models.declaration import (
    Activation,
    BatchNorm,
    Conv,
    Dropout,
    Flatten,
    GlobalPool,
    Layers,
    Linear,
    Network,
    Pool,
    ResponseNorm,
    Scale,
)

LENET_TABLE = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)  # fmt: skip
"""The maps of S2 that each map of C3 sees (LeCun et al. 1998, table I)."""


def lenet5(
    num_classes: int = 10,
    connections: str = "full",
    activation: str = "tanh",
    squashed: str = "convolution",
    pooling: str = "average",
    image: int = 32,
) -> Network:
    """LeNet-5: two convolutions, each followed by sub-sampling, and three dense layers.

    Shapes: (1, 32, 32) -> (num_classes,), or (1, 28, 28) padded by 2.
    Conventions: C3 sees all maps or those of table I; which function squashes, and whether after the convolution, after
    the pooling or both; pooling by average, maximum or trainable sub-sampling. The output is linear, no radial units.
    Or the network is Caffe's, of 20, 50 and 500, with maximum pooling and one ReLU, for (1, 28, 28) as they are.
    Source: LeCun, Bottou, Bengio, Haffner 1998, figure 2 and section II.B.
    """
    if connections == "caffe":
        pool = Pool("max", 2, 2)
        dense: Layers = (Linear(500), Activation(), Linear(num_classes))
        return Network("lenet5", (1, 28, 28), (Conv(20, 5), pool, Conv(50, 5), pool, Flatten(), *dense))
    squash = Activation(activation)
    after_convolution = (squash,) if squashed in ("convolution", "both") else ()
    after_pooling = (squash,) if squashed in ("pooling", "both") else ()
    pools = {
        "average": (Pool("average", 2, 2),),
        "max": (Pool("max", 2, 2),),
        "trainable": (Pool("average", 2, 2), Scale()),
    }[pooling]
    table = LENET_TABLE if connections == "partial" else ()
    sampled: Layers = (*after_convolution, *pools, *after_pooling)
    first, second = Conv(6, 5, padding=(32 - image) // 2), Conv(16, 5, table=table)
    dense = (Linear(120), squash, Linear(84), squash, Linear(num_classes))
    return Network("lenet5", (1, image, image), (first, *sampled, second, *sampled, Flatten(), *dense))


def alexnet(
    num_classes: int = 1000,
    towers: str = "two_groups",
    image: int = 227,
    order: str = "norm_pool",
    dropout: str = "after",
) -> Network:
    """AlexNet: five convolutions with overlapping pooling, and three dense layers with dropout.

    Shapes: (3, 227, 227) -> (num_classes,), or (3, 224, 224) padded by 2.
    Conventions: conv 2, 4 and 5 in two groups; or one tower: as wide without groups, simplified without response
    normalisation, or with the widths of "one weird trick". Response normalisation before or after pooling; dropout
    before or after each hidden dense layer.
    Source: Krizhevsky, Sutskever, Hinton 2012, section 3.5 and figure 2; Krizhevsky 2014 (arXiv 1404.5997), section 2.
    """
    groups = 2 if towers == "two_groups" else 1
    narrow = towers == "one_weird_trick"
    c1, c2, c3, c4, c5 = (64, 192, 384, 256, 256) if narrow else (96, 256, 384, 384, 256)
    padding = 1 if towers == "simplified" else (2 if image == 224 else 0)
    relu, pool = Activation(), Pool("max", 3, 2)
    norm = (ResponseNorm(),) if towers in ("two_groups", "one_tower") else ()
    sampled: Layers = (*norm, pool) if order == "norm_pool" else (pool, *norm)
    return Network(
        "alexnet",
        (3, image, image),
        (
            *(Conv(c1, 11, stride=4, padding=padding), relu, *sampled),
            *(Conv(c2, 5, padding=2, groups=groups), relu, *sampled),
            *(Conv(c3, 3, padding=1), relu),
            *(Conv(c4, 3, padding=1, groups=groups), relu),
            *(Conv(c5, 3, padding=1, groups=groups), relu, pool),
            *classifier(num_classes, dropout),
        ),
    )


def classifier(num_classes: int, dropout: str = "after") -> Layers:
    """The dense layers of AlexNet and VGG, with dropout after or before each hidden one."""
    relu, drop = Activation(), Dropout()
    if dropout == "before":
        return Flatten(), drop, Linear(4096), relu, drop, Linear(4096), relu, Linear(num_classes)
    return Flatten(), Linear(4096), relu, drop, Linear(4096), relu, drop, Linear(num_classes)


def vgg11(num_classes: int = 1000, normalization: str = "none", conv_bias: bool = True) -> Network:
    """VGG with 8 convolutions and 3 dense layers; Simonyan, Zisserman 2015, table 1, configuration A."""
    return _vgg("vgg11", (1, 1, 2, 2, 2), num_classes, normalization, conv_bias)


def vgg13(num_classes: int = 1000, normalization: str = "none", conv_bias: bool = True) -> Network:
    """VGG with 10 convolutions and 3 dense layers; Simonyan, Zisserman 2015, table 1, configuration B."""
    return _vgg("vgg13", (2, 2, 2, 2, 2), num_classes, normalization, conv_bias)


def vgg16(
    num_classes: int = 1000, normalization: str = "none", conv_bias: bool = True, configuration: str = "D"
) -> Network:
    """VGG with 13 convolutions and 3 dense layers; Simonyan, Zisserman 2015, table 1, configuration D (or C)."""
    pointwise = configuration == "C"
    return _vgg("vgg16", (2, 2, 3, 3, 3), num_classes, normalization, conv_bias, pointwise)


def vgg19(num_classes: int = 1000, normalization: str = "none", conv_bias: bool = True) -> Network:
    """VGG with 16 convolutions and 3 dense layers; Simonyan, Zisserman 2015, table 1, configuration E."""
    return _vgg("vgg19", (2, 2, 4, 4, 4), num_classes, normalization, conv_bias)


def _vgg(
    name: str, depths: tuple[int, ...], num_classes: int, normalization: str, conv_bias: bool, pointwise: bool = False
) -> Network:
    """Stages of 3 x 3 convolutions, each ended by a 2 x 2 pool; ``pointwise`` makes every third one 1 x 1."""
    norm = (BatchNorm(),) if normalization == "batch_norm" else ()
    bias = conv_bias or not norm
    layers: list[Layers] = []
    for depth, width in zip(depths, (64, 128, 256, 512, 512), strict=True):
        for index in range(depth):
            kernel = 1 if pointwise and index == 2 else 3
            layers.append((Conv(width, kernel, padding=kernel // 2, bias=bias), *norm, Activation()))
        layers.append((Pool("max", 2, 2),))
    return Network(name, (3, 224, 224), (*sum(layers, ()), *classifier(num_classes)))


def nin(
    num_classes: int = 1000,
    variant: str = "cifar",
    pools: str = "ceil",
    second_pool: str = "max",
    last_relu: bool = True,
) -> Network:
    """Network in Network: convolutions each followed by two of 1 x 1, and the average of each class's map.

    Shapes: (3, 32, 32) -> (num_classes,) for CIFAR, (3, 224, 224) -> (num_classes,) for ImageNet.
    Conventions: the network for CIFAR or that for ImageNet, whose last block may have one map for each class
    throughout; pools of 3 x 3 over the edge or padded; average or maximum in the second; a ReLU at the end or not.
    Source: Lin, Chen, Yan 2014, Network in network, section 3.
    """
    end = (Activation(),) if last_relu else ()
    if variant == "cifar":
        ceil, padding = pools == "ceil", int(pools == "padded")  # else windows that fit into the image
        return Network(
            "nin",
            (3, 32, 32),
            (
                *_mlpconv(Conv(192, 5, padding=2), 160, 96),
                *(Pool("max", 3, 2, padding, ceil), Dropout()),
                *_mlpconv(Conv(192, 5, padding=2), 192, 192),
                *(Pool(second_pool, 3, 2, padding, ceil), Dropout()),
                *_mlpconv(Conv(192, 3, padding=1), 192, num_classes)[:-1],
                *(*end, GlobalPool(), Flatten()),
            ),
        )
    width = (1024, 1024) if variant == "imagenet" else (num_classes, num_classes)
    return Network(
        "nin",
        (3, 224, 224),
        (
            *(*_mlpconv(Conv(96, 11, stride=4), 96, 96), Pool("max", 3, 2)),
            *(*_mlpconv(Conv(256, 5, padding=2), 256, 256), Pool("max", 3, 2)),
            *(*_mlpconv(Conv(384, 3, padding=1), 384, 384), Pool("max", 3, 2), Dropout()),
            *_mlpconv(Conv(width[0], 3, padding=1), width[1], num_classes)[:-1],
            *(*end, GlobalPool(), Flatten()),
        ),
    )


def _mlpconv(first: Conv, second: int, third: int) -> Layers:
    """A convolution and two of 1 x 1, a small network that slides over the image."""
    relu = Activation()
    return first, relu, Conv(second, 1), relu, Conv(third, 1), relu
