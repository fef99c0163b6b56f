"""GoogLeNet and the Inception networks after it: branches side by side, joined by channel."""

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
    Layers,
    Linear,
    Network,
    Pair,
    Pool,
    ResponseNorm,
)

_RELU = Activation()


def _classifier(classes: int, dropout: float) -> Layers:
    return GlobalPool(), Flatten(), *((Dropout(dropout),) if dropout else ()), Linear(classes)


def googlenet(
    num_classes: int = 1000,
    heads: str = "none",
    normalization: str = "response",
    large_kernel: int = 5,
    conv_bias: bool = True,
    pools: str = "ceil",
    dropout: float = 0.4,
) -> Network:
    """GoogLeNet: nine Inception modules, with auxiliary classifiers on the fourth and the seventh.

    Shapes: (3, 224, 224) -> (num_classes,).
    Conventions: with heads (pooled 5 x 5 with stride 3, or to 4 x 4) or without; local response normalisation in the
    stem, none, or batch normalisation everywhere; 5 x 5 or 3 x 3 in the third branch; pools
    over the edge or padded, or the last one 2 x 2; the share that is dropped before the classes.
    Source: Szegedy et al. 2015, Going deeper with convolutions (arXiv 1409.4842), table 1 and figure 3.
    """
    bias = conv_bias or normalization != "batch_norm"
    after = (BatchNorm(1e-3), _RELU) if normalization == "batch_norm" else (_RELU,)
    norm = (ResponseNorm(),) if normalization == "response" else ()

    def conv(channels: int, kernel: int, stride: int = 1) -> Layers:
        return Conv(channels, kernel, stride, kernel // 2, bias=bias), *after

    def module(one: int, reduce3: int, three: int, reduce5: int, five: int, pooled: int) -> Layers:
        large = (*conv(reduce5, 1), *conv(five, large_kernel))
        pool = (Pool("max", 3, 1, 1), *conv(pooled, 1))
        return (Concat((conv(one, 1), (*conv(reduce3, 1), *conv(three, 3)), large, pool)),)

    def head() -> Layers:
        pool = AdaptivePool(4) if heads == "adaptive" else Pool("average", 5, 3)
        dense = (Flatten(), Linear(1024), _RELU, Dropout(0.7), Linear(num_classes))
        return (Head((pool, *conv(128, 1), *dense)),) if heads != "none" else ()

    pool = Pool("max", 3, 2, padding=1) if pools == "padded" else Pool("max", 3, 2, ceil=True)
    last_pool = Pool("max", 2, 2) if pools == "last_2x2" else pool
    return Network(
        "googlenet",
        (3, 224, 224),
        (
            *(*conv(64, 7, 2), pool, *norm, *conv(64, 1), *conv(192, 3), *norm, pool),
            *(*module(64, 96, 128, 16, 32, 32), *module(128, 128, 192, 32, 96, 64), pool),
            *(*module(192, 96, 208, 16, 48, 64), *head(), *module(160, 112, 224, 24, 64, 64)),
            *(*module(128, 128, 256, 24, 64, 64), *module(112, 144, 288, 32, 64, 64), *head()),
            *(*module(256, 160, 320, 32, 128, 128), last_pool),
            *(*module(256, 160, 320, 32, 128, 128), *module(384, 192, 384, 48, 128, 128)),
            *_classifier(num_classes, dropout),
        ),
    )


def inception_v2(
    num_classes: int = 1000, conv_bias: bool = True, pools: str = "ceil", dropout: float = 0.0, scale: bool = True
) -> Network:
    """BN-Inception: GoogLeNet with batch normalisation, and two 3 x 3 convolutions in the place of 5 x 5.

    Shapes: (3, 224, 224) -> (num_classes,).
    Conventions: a bias before batch normalisation or none; pools over the edge or padded; dropout at the end or none;
    batch normalisation with a scale or a shift alone.
    Source: Ioffe, Szegedy 2015, Batch normalization (arXiv 1502.03167), appendix and figure 5.
    """

    def conv(channels: int, kernel: int, stride: int = 1) -> Layers:
        return Conv(channels, kernel, stride, kernel // 2, bias=conv_bias), BatchNorm(scale=scale), _RELU

    pool = Pool("max", 3, 2, padding=1) if pools == "padded" else Pool("max", 3, 2, ceil=True)

    def module(one: int, reduce3: int, three: int, reduce5: int, five: int, kind: str, pooled: int) -> Layers:
        double = (*conv(reduce5, 1), *conv(five, 3), *conv(five, 3))
        projected = (Pool(kind, 3, 1, 1), *conv(pooled, 1))
        return (Concat((conv(one, 1), (*conv(reduce3, 1), *conv(three, 3)), double, projected)),)

    def reduction(reduce3: int, three: int, reduce5: int, five: int) -> Layers:
        double = (*conv(reduce5, 1), *conv(five, 3), *conv(five, 3, 2))
        return (Concat(((*conv(reduce3, 1), *conv(three, 3, 2)), double, (pool,))),)

    return Network(
        "inception_v2",
        (3, 224, 224),
        (
            *(*conv(64, 7, 2), pool, *conv(64, 1), *conv(192, 3), pool),
            *module(64, 64, 64, 64, 96, "average", 32),
            *module(64, 64, 96, 64, 96, "average", 64),
            *reduction(128, 160, 64, 96),
            *module(224, 64, 96, 96, 128, "average", 128),
            *module(192, 96, 128, 96, 128, "average", 128),
            *module(160, 128, 160, 128, 160, "average", 128),
            *module(96, 128, 192, 160, 192, "average", 128),
            *reduction(128, 192, 192, 256),
            *module(352, 192, 320, 160, 224, "average", 128),
            *module(352, 192, 320, 192, 224, "max", 128),
            *_classifier(num_classes, dropout),
        ),
    )


def _normalized(channels: int, kernel: int | Pair, stride: int, same: bool, bias: bool, scale: bool) -> Layers:
    """A convolution, "same" or "valid" padded, with batch normalisation and ReLU, as Inception v3 and v4 have it."""
    height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
    padding = (height // 2, width // 2) if same else (0, 0)
    return Conv(channels, kernel, stride, padding, bias=bias), BatchNorm(1e-3, scale), _RELU


def inception_v3(
    num_classes: int = 1000, heads: str = "none", conv_bias: bool = False, dropout: float = 0.5, scale: bool = True
) -> Network:
    """Inception v3: factorised convolutions, with one batch-normalised auxiliary classifier.

    Shapes: (3, 299, 299) -> (num_classes,).
    Conventions: with the head or without; a bias before batch normalisation or none; the share that is dropped; batch
    normalisation with a scale or a shift alone.
    Source: Szegedy et al. 2016, Rethinking the Inception architecture (arXiv 1512.00567), table 1 and figures 5 to 10,
    with the widths of the authors' own code.
    """

    def conv(channels: int, kernel: int | Pair, stride: int = 1, same: bool = True) -> Layers:
        return _normalized(channels, kernel, stride, same, conv_bias, scale)

    pool, average = Pool("max", 3, 2), Pool("average", 3, 1, 1)

    def small(pooled: int) -> Layers:
        triple = (*conv(64, 1), *conv(96, 3), *conv(96, 3))
        return (Concat((conv(64, 1), (*conv(48, 1), *conv(64, 5)), triple, (average, *conv(pooled, 1)))),)

    def asymmetric(width: int) -> Layers:
        once = (*conv(width, 1), *conv(width, (1, 7)), *conv(192, (7, 1)))
        rows_first = (*conv(width, 1), *conv(width, (7, 1)), *conv(width, (1, 7)))
        twice = (*rows_first, *conv(width, (7, 1)), *conv(192, (1, 7)))
        return (Concat((conv(192, 1), once, twice, (average, *conv(192, 1)))),)

    def spread() -> Layers:
        both = Concat((conv(384, (1, 3)), conv(384, (3, 1))))
        deep = (*conv(448, 1), *conv(384, 3), both)
        return (Concat((conv(320, 1), (*conv(384, 1), both), deep, (average, *conv(192, 1)))),)

    first = ((*conv(64, 1), *conv(96, 3), *conv(96, 3, 2, same=False)), conv(384, 3, 2, same=False), (pool,))
    factored = (*conv(192, 1), *conv(192, (1, 7)), *conv(192, (7, 1)), *conv(192, 3, 2, same=False))
    second = ((*conv(192, 1), *conv(320, 3, 2, same=False)), factored, (pool,))
    classified = (*conv(128, 1), *conv(768, 5, same=False), Flatten(), Linear(num_classes))
    head = (Head((Pool("average", 5, 3), *classified)),) if heads != "none" else ()
    return Network(
        "inception_v3",
        (3, 299, 299),
        (
            *(*conv(32, 3, 2, same=False), *conv(32, 3, same=False), *conv(64, 3), pool),
            *(*conv(80, 1), *conv(192, 3, same=False), pool),
            *(*small(32), *small(64), *small(64), Concat(first)),
            *(*asymmetric(128), *asymmetric(160), *asymmetric(160), *asymmetric(192), *head),
            *(Concat(second), *spread(), *spread()),
            *_classifier(num_classes, dropout),
        ),
    )


def inception_v4(num_classes: int = 1000, conv_bias: bool = False, scale: bool = True) -> Network:
    """Inception v4: a uniform design of 4, 7 and 3 modules of three kinds, with reductions between them.

    Shapes: (3, 299, 299) -> (num_classes,).
    Conventions: a bias before batch normalisation or none; a scale in it, or a shift alone.
    Source: Szegedy, Ioffe, Vanhoucke, Alemi 2017 (arXiv 1602.07261), figures 3 to 9.
    """

    def conv(channels: int, kernel: int | Pair, stride: int = 1, same: bool = True) -> Layers:
        return _normalized(channels, kernel, stride, same, conv_bias, scale)

    pool, average = Pool("max", 3, 2), Pool("average", 3, 1, 1)
    wide = (*conv(64, 1), *conv(64, (1, 7)), *conv(64, (7, 1)), *conv(96, 3, same=False))
    stem = (
        *(*conv(32, 3, 2, same=False), *conv(32, 3, same=False), *conv(64, 3)),
        Concat(((pool,), conv(96, 3, 2, same=False))),
        Concat(((*conv(64, 1), *conv(96, 3, same=False)), wide)),
        Concat((conv(192, 3, 2, same=False), (pool,))),
    )
    double = (*conv(64, 1), *conv(96, 3), *conv(96, 3))
    a = Concat((conv(96, 1), (*conv(64, 1), *conv(96, 3)), double, (average, *conv(96, 1))))
    reduced = (*conv(192, 1), *conv(224, 3), *conv(256, 3, 2, same=False))
    a_to_b = Concat((conv(384, 3, 2, same=False), reduced, (pool,)))
    once = (*conv(192, 1), *conv(224, (1, 7)), *conv(256, (7, 1)))
    rows_first = (*conv(192, 1), *conv(192, (7, 1)), *conv(224, (1, 7)))
    twice = (*rows_first, *conv(224, (7, 1)), *conv(256, (1, 7)))
    b = Concat((conv(384, 1), once, twice, (average, *conv(128, 1))))
    factored = (*conv(256, 1), *conv(256, (1, 7)), *conv(320, (7, 1)), *conv(320, 3, 2, same=False))
    b_to_c = Concat(((*conv(192, 1), *conv(192, 3, 2, same=False)), factored, (pool,)))
    both = Concat((conv(256, (1, 3)), conv(256, (3, 1))))
    deep = (*conv(384, 1), *conv(448, (3, 1)), *conv(512, (1, 3)), both)
    c = Concat((conv(256, 1), (*conv(384, 1), both), deep, (average, *conv(256, 1))))
    return Network(
        "inception_v4",
        (3, 299, 299),
        (
            *(*stem, *(a,) * 4, a_to_b, *(b,) * 7, b_to_c, *(c,) * 3),
            *_classifier(num_classes, 0.2),
        ),
    )
