"""The networks: what each is, and on what right implementations differ."""

from collections.abc import Mapping
from typing import Any

from dlcheck.component import Component, Convention, Option, Source, notes

_NOTES = notes("002 and 003, classic networks")
_LECUN = Source(
    "LeCun, Bottou, Bengio, Haffner 1998, Gradient-based learning applied to document recognition",
    "section II.B, figure 2, table I",
    "https://doi.org/10.1109/5.726791",
)
_CAFFE_LENET = Source("BVLC/caffe", "examples/mnist/lenet.prototxt", "https://github.com/BVLC/caffe")
_TORCHVISION = Source(
    "torchvision 0.29", "models/googlenet.py, models/inception.py", "https://github.com/pytorch/vision"
)
_SLIM = Source("TensorFlow models", "research/slim/nets", "https://github.com/tensorflow/models")
_KERAS_V3 = Source("keras-team/keras", "applications/inception_v3.py", "https://github.com/keras-team/keras")
_SLIM_RESNET = Source("tensorflow/models#2130", "", "https://github.com/tensorflow/models/issues/2130")
_KRIZHEVSKY = Source(
    "Krizhevsky, Sutskever, Hinton 2012, ImageNet classification with deep convolutional neural networks",
    "section 3.5, figure 2",
    "https://papers.nips.cc/paper/4824-imagenet-classification-with-deep-convolutional-neural-networks",
)
_ONE_WEIRD_TRICK = Source(
    "Krizhevsky 2014, One weird trick for parallelizing convolutional neural networks",
    "section 5",
    "https://arxiv.org/abs/1404.5997",
)
_SIMONYAN = Source(
    "Simonyan, Zisserman 2015, Very deep convolutional networks for large-scale image recognition",
    "table 1",
    "https://arxiv.org/abs/1409.1556",
)
_LIN = Source("Lin, Chen, Yan 2014, Network in network", "section 3", "https://arxiv.org/abs/1312.4400")
_SZEGEDY = Source(
    "Szegedy et al. 2015, Going deeper with convolutions", "table 1, figure 3", "https://arxiv.org/abs/1409.4842"
)
_IOFFE = Source("Ioffe, Szegedy 2015, Batch normalization", "appendix, figure 5", "https://arxiv.org/abs/1502.03167")
_RETHINKING = Source(
    "Szegedy et al. 2016, Rethinking the Inception architecture for computer vision",
    "table 1, figures 5 to 10",
    "https://arxiv.org/abs/1512.00567",
)
_V4 = Source(
    "Szegedy, Ioffe, Vanhoucke, Alemi 2017, Inception-v4, Inception-ResNet",
    "figures 3 to 9",
    "https://arxiv.org/abs/1602.07261",
)
_HE = Source(
    "He, Zhang, Ren, Sun 2016, Deep residual learning for image recognition",
    "table 1, figure 5",
    "https://arxiv.org/abs/1512.03385",
)


def _convention(axis: str, says: str, *options: Option, sources: tuple[Source, ...] = ()) -> Convention:
    return Convention(axis, says, options, sources)


def _option(name: str, says: str, followed_by: tuple[str, ...] = (), **keywords: Any) -> Option:
    return Option(name, says, keywords, followed_by)


def _bias(
    default: bool, with_bias: tuple[str, ...], without: tuple[str, ...], unscaled: tuple[str, ...] = ()
) -> Convention:
    """Whether convolutions keep a bias that batch normalisation takes away again; some leave its scale out too."""
    kept = _option("kept", "every convolution has a bias", with_bias, conv_bias=True)
    dropped = _option("none", "no convolution before batch normalisation has one", without, conv_bias=False)
    options = (kept, dropped) if default else (dropped, kept)
    if unscaled:
        says = "no convolution has one, and batch normalisation no scale"
        options += (_option("shift_only", says, unscaled, conv_bias=False, scale=False),)
    return _convention(
        "conv_bias",
        "The bias of convolutions before batch normalisation",
        *options,
        sources=(_KERAS_V3, _SLIM) if unscaled else (),
    )


_LENET = (
    _convention(
        "connections",
        "Which maps of the second layer each map of the third sees",
        _option("full", "all six", ("tutorials", "d2l"), connections="full"),
        _option("partial", "those of table I", ("LeCun et al.",), connections="partial"),
        _option("caffe", "all 20, of 50; then 500, and one ReLU", ("Caffe's examples",), connections="caffe"),
        sources=(_LECUN, _CAFFE_LENET),
    ),
    _convention(
        "activation",
        "The function that squashes",
        _option("tanh", "tanh", activation="tanh"),
        _option("scaled_tanh", "1.7159 tanh(2x/3)", ("LeCun et al.",), activation="scaled_tanh"),
        _option("sigmoid", "the logistic function", ("d2l",), activation="sigmoid"),
        _option("relu", "ReLU", ("PyTorch's tutorial",), activation="relu"),
    ),
    _convention(
        "squashed",
        "Where the function stands beside a pool; before or after a maximum is the same",
        _option("convolution", "after the convolution", ("d2l",), squashed="convolution"),
        _option("pooling", "after the pool", squashed="pooling"),
        _option("both", "after each of them", ("LeCun et al.",), squashed="both"),
    ),
    _convention(
        "pooling",
        "How maps are sub-sampled",
        _option("average", "by the average", ("d2l",), pooling="average"),
        _option("max", "by the maximum", ("PyTorch's tutorial",), pooling="max"),
        _option("trainable", "average, coefficient and bias", ("LeCun et al.",), pooling="trainable"),
    ),
    _convention(
        "image",
        "The size of the images",
        _option("32", "32 x 32", ("LeCun et al.",), image=32),
        _option("28", "28 x 28, padded by 2 in the first convolution", ("d2l",), image=28),
    ),
)
_ALEXNET = (
    _convention(
        "towers",
        "Two towers or one, and how wide",
        _option("two_groups", "conv 2, 4 and 5 in two groups", ("the paper", "Caffe"), towers="two_groups"),
        _option("one_weird_trick", "one of 64, 192, 384, 256, 256", ("torchvision",), towers="one_weird_trick"),
        _option("one_tower", "as wide as two, without groups", ("CS231n",), towers="one_tower"),
        _option("simplified", "so without normalisation, padded by 1", ("d2l",), towers="simplified"),
        sources=(_KRIZHEVSKY, _ONE_WEIRD_TRICK),
    ),
    _convention(
        "image",
        "The size of the images that the first convolution fits",
        _option("227", "227 x 227", ("Caffe",), image=227),
        _option("224", "224 x 224, padded by 2", ("torchvision",), image=224),
    ),
    _convention(
        "order",
        "Response normalisation and pooling",
        _option("norm_pool", "normalised, then pooled", ("the paper", "bvlc_alexnet"), order="norm_pool"),
        _option("pool_norm", "pooled, then normalised", ("CaffeNet",), order="pool_norm"),
    ),
    _convention(
        "dropout",
        "Dropout and the hidden dense layers",
        _option("after", "after each", ("the paper", "Caffe"), dropout="after"),
        _option("before", "before each", ("torchvision",), dropout="before"),
    ),
)
_VGG = (
    _convention(
        "normalization",
        "Batch normalisation after every convolution",
        _option("none", "none", ("the paper",), normalization="none"),
        _option("batch_norm", "with it", ("torchvision's vgg16_bn",), normalization="batch_norm"),
        _option(
            "batch_norm_without_bias",
            "with it, convolutions without bias",
            normalization="batch_norm",
            conv_bias=False,
        ),
    ),
)
_CONFIGURATION = _convention(
    "configuration",
    "Two networks of the paper have 16 weight layers",
    _option("D", "3 x 3 throughout", ("torchvision", "Keras"), configuration="D"),
    _option("C", "each third convolution of a stage is 1 x 1", configuration="C"),
    sources=(_SIMONYAN,),
)
_NIN = (
    _convention(
        "variant",
        "The network for CIFAR or that for ImageNet",
        _option("cifar", "192 to 10 maps, 32 x 32", ("the paper",), variant="cifar"),
        _option("imagenet", "96 to 1024 maps, 224 x 224", ("Caffe's zoo",), variant="imagenet"),
        _option("imagenet_narrow", "its last block has a map a class", ("d2l",), variant="imagenet_narrow"),
    ),
    _convention(
        "pools",
        "Windows at the edge, for CIFAR",
        _option("ceil", "windows stand over the edge", ("Caffe",), pools="ceil"),
        _option("padded", "padded by 1", ("PyTorch ports",), pools="padded"),
        _option("floor", "windows that fit only", pools="floor"),
    ),
    _convention(
        "second_pool",
        "The second pool, for CIFAR",
        _option("max", "by the maximum", ("the paper",), second_pool="max"),
        _option("average", "by the average", ("the authors' Caffe definition",), second_pool="average"),
    ),
    _convention(
        "last_relu",
        "ReLU on the maps of the classes",
        _option("yes", "with it", ("Caffe", "d2l"), last_relu=True),
        _option("no", "without it", last_relu=False),
    ),
)
_OVER_EDGE = _option("ceil", "windows stand over the edge", ("Caffe", "torchvision"), pools="ceil")
_PADDED = _option("padded", "padded by 1", ("d2l", "TensorFlow"), pools="padded")
_GOOGLENET = (
    _convention(
        "heads",
        "The auxiliary classifiers in training",
        _option("none", "none", ("d2l",), heads="none"),
        _option("5x5", "two, pooled 5 x 5 with stride 3", ("the paper", "Caffe"), heads="5x5"),
        _option("adaptive", "two, pooled to 4 x 4", ("torchvision",), heads="adaptive"),
        sources=(_SZEGEDY,),
    ),
    _convention(
        "normalization",
        "What normalises",
        _option("response", "local responses, twice in the stem", ("the paper", "Caffe"), normalization="response"),
        _option("none", "nothing", ("d2l",), normalization="none"),
        _option(
            "batch_norm",
            "batches, after every convolution, which has no bias",
            ("torchvision",),
            normalization="batch_norm",
            conv_bias=False,
        ),
        _option("batch_norm_and_bias", "batches, and biases are kept", (), normalization="batch_norm"),
    ),
    _convention(
        "large_kernel",
        "The kernel of the third branch",
        _option("5x5", "5 x 5", ("the paper", "Caffe"), large_kernel=5),
        _option("3x3", "3 x 3", ("torchvision", "TF-slim"), large_kernel=3),
        sources=(Source("pytorch/vision#906", "", "https://github.com/pytorch/vision/issues/906"),),
    ),
    _convention(
        "pools",
        "Windows at the edge",
        _OVER_EDGE,
        _PADDED,
        _option("last_2x2", "over the edge, the last pool 2 x 2", ("torchvision",), pools="last_2x2"),
    ),
    _convention(
        "dropout",
        "The share that is dropped before the classes",
        _option("0.4", "two in five", ("the paper", "Caffe"), dropout=0.4),
        _option("0.2", "one in five", ("torchvision", "TF-slim"), dropout=0.2),
        sources=(_SZEGEDY, _TORCHVISION, _SLIM),
    ),
)
_V3_DROPOUT = _convention(
    "dropout",
    "The share that is dropped before the classes",
    _option("0.5", "half", ("torchvision",), dropout=0.5),
    _option("0.2", "one in five", ("TF-slim",), dropout=0.2),
    _option("none", "none", ("Keras",), dropout=0.0),
    sources=(_TORCHVISION, _SLIM, _KERAS_V3),
)
_V3_HEADS = _convention(
    "heads",
    "The auxiliary classifier in training",
    _option("none", "none", ("Keras",), heads="none"),
    _option("with", "one, on the last 17 x 17 maps", ("the paper", "torchvision"), heads="with"),
    sources=(_RETHINKING,),
)
_V2 = (
    _bias(True, ("Caffe",), ("PyTorch ports",), ("TF-slim",)),
    _convention("pools", "Windows at the edge", _OVER_EDGE, _PADDED),
    _convention(
        "dropout",
        "Dropout before the dense layer",
        _option("none", "none", ("the paper",), dropout=0.0),
        _option("end", "with it", ("TF-slim",), dropout=0.2),
    ),
)
_STRIDE = _convention(
    "stride",
    "The stride of a bottleneck",
    _option("3x3", "in its 3 x 3 convolution", ("torchvision", "fb.resnet.torch", "timm"), stride="3x3"),
    _option("1x1", "in its first 1 x 1 convolution", ("the paper", "Keras"), stride="1x1"),
    _option("last_unit", "in the 3 x 3 of the last unit of a stage", ("TF-slim",), stride="last_unit"),
    sources=(_HE, _SLIM_RESNET),
)
_RESNET = (
    _convention(
        "shortcut",
        "The shortcut where shapes change",
        _option("B", "a projection", ("torchvision", "Keras"), shortcut="B"),
        _option("A", "every second number, and channels of zeros", ("the paper, table 2",), shortcut="A"),
        _option("C", "projections everywhere", ("the paper, table 3",), shortcut="C"),
        sources=(_HE,),
    ),
    _bias(False, ("Keras",), ("torchvision", "timm")),
    _convention(
        "stem_pool",
        "Windows of the first pool",
        _option("padded", "padded by 1", ("torchvision",), stem_pool="padded"),
        _option("ceil", "windows stand over the edge", ("the authors' Caffe definition",), stem_pool="ceil"),
    ),
)


def _component(
    name: str,
    summary: str,
    formula: str,
    sources: tuple[Source, ...],
    conventions: tuple[Convention, ...],
    settings: Mapping[str, Any] | None = None,
) -> Component:
    return Component(
        name,
        "model",
        summary,
        formula,
        "a torch.nn.Module class or factory, called with num_classes",
        (*sources, _NOTES),
        settings=settings or {"num_classes": 1000},
        conventions=conventions,
        operations=lambda case: 1,
    )


def _vgg(layers: int, configuration: str, further: tuple[Convention, ...] = ()) -> Component:
    summary = f"VGG with {layers} weight layers: 3 x 3 convolutions in five stages, and three dense layers."
    formula = rf"\text{{configuration {configuration}}}: {layers - 3}\ \text{{convolutions}} + 3\ \text{{dense}}"
    return _component(f"vgg{layers}", summary, formula, (_SIMONYAN,), (*_VGG, *further))


def _resnet(layers: int, units: str, further: tuple[Convention, ...] = ()) -> Component:
    summary = f"ResNet with {layers} weight layers: four stages of residual units, of which there are {units}."
    return _component(f"resnet{layers}", summary, r"y = \max(0, F(x) + x)", (_HE,), (*further, *_RESNET))


COMPONENTS = (
    _component(
        "lenet5",
        "Two convolutions, each followed by sub-sampling, and three dense layers.",
        r"32^2 \to 28^2 \times 6 \to 14^2 \to 10^2 \times 16 \to 5^2 \to 120 \to 84 \to 10",
        (_LECUN,),
        _LENET,
        {"num_classes": 10},
    ),
    _component(
        "alexnet",
        "Five convolutions with overlapping pooling and response normalisation, three dense layers with dropout.",
        r"227^2 \to 55^2 \times 96 \to 27^2 \times 256 \to 13^2 \times 384 \to 6^2 \times 256 \to 4096 \to 4096",
        (_KRIZHEVSKY, _ONE_WEIRD_TRICK),
        _ALEXNET,
    ),
    _vgg(11, "A"),
    _vgg(13, "B"),
    _vgg(16, "D", (_CONFIGURATION,)),
    _vgg(19, "E"),
    _component(
        "nin",
        "Convolutions each followed by two of 1 x 1, and the average of a map for each class.",
        r"y_c = \frac{1}{HW} \sum_{ij} f_{cij}",
        (_LIN,),
        _NIN,
    ),
    _component(
        "googlenet",
        "Nine Inception modules: convolutions of three sizes and a pool side by side, joined by channel.",
        r"[\,1{\times}1(x),\ 3{\times}3(1{\times}1(x)),\ 5{\times}5(1{\times}1(x)),\ 1{\times}1(\text{pool}(x))\,]",
        (_SZEGEDY,),
        _GOOGLENET,
    ),
    _component(
        "inception_v2",
        "GoogLeNet with batch normalisation, and two 3 x 3 convolutions in the place of 5 x 5.",
        r"5{\times}5 \to 3{\times}3 \circ 3{\times}3",
        (_IOFFE,),
        _V2,
    ),
    _component(
        "inception_v3",
        "Inception with factorised convolutions: n x n as 1 x n and n x 1.",
        r"7{\times}7 \to 7{\times}1 \circ 1{\times}7",
        (_RETHINKING,),
        (_V3_HEADS, _bias(False, (), ("torchvision",), ("Keras", "TF-slim")), _V3_DROPOUT),
    ),
    _component(
        "inception_v4",
        "A uniform Inception: a stem, then 4, 7 and 3 modules of three kinds with reductions between them.",
        r"\text{stem} \to 4 A \to R_A \to 7 B \to R_B \to 3 C",
        (_V4,),
        (_bias(False, (), ("timm",), ("TF-slim",)),),
    ),
    _resnet(18, "2, 2, 2 and 2"),
    _resnet(34, "3, 4, 6 and 3"),
    _resnet(50, "3, 4, 6 and 3", (_STRIDE,)),
    _resnet(101, "3, 4, 23 and 3", (_STRIDE,)),
    _resnet(152, "3, 8, 36 and 3", (_STRIDE,)),
)
