"""What the pooling components are: their settings, conventions and sources."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from dlcheck.component import Case, Component, Convention, Option, Source, notes

NOTES = notes("001, section 1.3")
RANZATO = Source(
    "Ranzato, Huang, Boureau, LeCun: Unsupervised learning of invariant feature hierarchies",
    "CVPR 2007, section 2",
    "https://doi.org/10.1109/CVPR.2007.383157",
)
LECUN = Source(
    "LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document recognition",
    "1998, section II.B",
    "https://doi.org/10.1109/5.726791",
)
SERMANET = Source(
    "Sermanet, Chintala, LeCun: Convolutional neural networks applied to house numbers digit classification",
    "ICPR 2012, equation 1",
    "https://arxiv.org/abs/1204.3968",
)
LIN = Source("Lin, Chen, Yan: Network in network", "ICLR 2014, section 3.2", "https://arxiv.org/abs/1312.4400")
TORCH = Source("PyTorch: torch.nn.functional", "", "https://docs.pytorch.org/docs/stable/nn.functional.html")
JAX = Source("JAX: jax.numpy.max, jax.lax.reduce_window", "", "https://docs.jax.dev/en/latest/jax.lax.html")
KERAS = Source("Keras: pooling layers", "", "https://keras.io/api/layers/pooling_layers/")
CAFFE = Source(
    "Caffe: pooling layer",
    "pooling_layer.cpp",
    "https://github.com/BVLC/caffe/blob/master/src/caffe/layers/pooling_layer.cpp",
)
CHAINER = Source(
    "Chainer: max_pooling_nd",
    "cover_all",
    "https://github.com/chainer/chainer/blob/master/chainer/functions/pooling/max_pooling_nd.py",
)
THEANO_TIES = Source("Theano: gradient of max", "issue 5248", "https://github.com/Theano/Theano/issues/5248")
ONNX = Source("ONNX: AveragePool, LpPool, GlobalAveragePool", "", "https://onnx.ai/onnx/operators/")
CUDNN = Source(
    "cuDNN: cudnnNanPropagation_t",
    "CUDNN_NOT_PROPAGATE_NAN",
    "https://docs.nvidia.com/deeplearning/cudnn/latest/api/cudnn-ops-library.html",
)
LP_SIGN = Source(
    "PyTorch: lp_pool2d of negative numbers", "issue 184037", "https://github.com/pytorch/pytorch/issues/184037"
)
LASAGNE = Source(
    "Lasagne: GlobalPoolLayer",
    "lasagne/layers/pool.py",
    "https://github.com/Lasagne/Lasagne/blob/master/lasagne/layers/pool.py",
)

TIES = Convention(
    "ties",
    "which of equal largest values in a window receives the gradient",
    (
        Option("first", "the first, row by row", {"ties": "first"}, ("PyTorch", "TensorFlow", "Flax", "Caffe")),
        Option("last", "the last, row by row", {"ties": "last"}, ("loops written value >= maximum",)),
        Option("all", "all, each the whole", {"ties": "all"}, ("Theano on a CPU", "masks written x == maximum")),
        Option("split", "all, each an equal part", {"ties": "split"}, ("torch.amax", "jax.numpy.max")),
        Option("halved", "all, half from each comparison in turn", {"ties": "halved"}, ("torch.maximum, tap by tap",)),
    ),
    (TORCH, JAX, CAFFE, THEANO_TIES),
)
NAN = Convention(
    "nan",
    "what a NaN does to its windows",
    (
        Option("propagates", "they are NaN", {"nan": "propagates"}, ("PyTorch", "numpy.maximum")),
        Option("ignored", "it never wins", {"nan": "ignored"}, ("loops written value > maximum", "cuDNN's default")),
    ),
    (TORCH, CUDNN),
)
PADDING_VALUE = Convention(
    "padding_value",
    "what stands in the padding",
    (
        Option("never_wins", "-inf", {"padding_value": -math.inf}, ("PyTorch", "TensorFlow SAME", "Caffe", "cuDNN")),
        Option("zero", "0, which wins over negatives", {"padding_value": 0.0}, ("MXNet of old on CPUs", "ZeroPadding")),
    ),
    (
        TORCH,
        Source("apache/mxnet#2753", "", "https://github.com/apache/mxnet/issues/2753"),
        Source(
            "zylo117/Yet-Another-EfficientDet-Pytorch#352",
            "",
            "https://github.com/zylo117/Yet-Another-EfficientDet-Pytorch/pull/352",
        ),
    ),
)
ROUNDING = Convention(
    "default_rounding",
    "number of windows where the last would overhang, if ceil_mode is not given",
    (
        Option("floor", "rounded down", {"ceil_mode": False}, ("PyTorch", "TensorFlow VALID", "Keras", "MXNet valid")),
        Option("ceil", "rounded up", {"ceil_mode": True}, ("Caffe", "MXNet full", "Chainer max_pooling_2d")),
    ),
    (TORCH, CAFFE, CHAINER),
)
DIVISOR = Convention(
    "default_divisor",
    "whether padding counts in the mean, if count_include_pad is not given",
    (
        Option("counted", "it does", {"count_include_pad": True}, ("PyTorch", "Flax", "Caffe", "MXNet")),
        Option("not_counted", "it does not", {"count_include_pad": False}, ("Keras", "TensorFlow SAME", "ONNX")),
    ),
    (TORCH, CAFFE, KERAS, ONNX),
)
POWER = Convention(
    "power",
    "what is raised to the power k",
    (
        Option("x", "x, so that signs cancel for odd k", {"power": "signed"}, ("PyTorch", "MXNet")),
        Option("magnitude", "|x|, as a norm has it", {"power": "magnitude"}, ("ONNX LpPool",)),
    ),
    (TORCH, LP_SIGN, ONNX),
)
OVERHANG = Convention(
    "overhang",
    "sum of a window that overhangs the input in ceil mode",
    (
        Option("rescaled", "times kernel size over places inside", {"overhang": "rescaled"}, ("PyTorch",)),
        Option("summed", "the places inside alone", {"overhang": "summed"}, ("MXNet full",)),
    ),
    (TORCH,),
)
KEPT = Convention(
    "spatial_axes",
    "the averaged axes",
    (
        Option("dropped", "(N, C)", {"keepdims": False}, ("Keras GlobalAveragePooling2D", "Lasagne")),
        Option("kept", "(N, C, 1, 1)", {"keepdims": True}, ("torch.nn.AdaptiveAvgPool2d(1)", "ONNX", "MXNet")),
    ),
    (KERAS, LASAGNE, TORCH, ONNX),
)


def _places(case: Case) -> int:
    kernel = case.settings.get("kernel_size", 2)
    return math.prod(kernel) if isinstance(kernel, tuple) else kernel**2


def _summed(case: Case) -> int:
    """Roundings of a sum over a window, forward, or over the windows around a place, backward."""
    return 8 + _places(case)


def _powers(case: Case) -> int:
    """The same, of powers and with a root: each within some roundings of its own."""
    return 24 + _places(case)


def _image(case: Case) -> int:
    return 8 + math.prod(case.inputs["x"].shape[-2:])


def _largest_sum(case: Case) -> float:
    """Right code may add up a window in any order, and round at the size of its largest number."""
    given = case.inputs["grad_output"] if case.run == "backward" else case.inputs["x"]
    return float(np.abs(given).max(initial=0.0)) if np.isfinite(given).all() else 0.0


def _upstream(case: Case) -> float:
    """A maximum is exact; its gradient is added up at the size of what arrives from above."""
    return _largest_sum(case) if case.run == "backward" else 0.0


def _stride(case: Case) -> Mapping[str, Any]:
    """The default stride, for code that requires one."""
    return {"stride": case.settings.get("kernel_size", 2)}


def _windowed(name: str, summary: str, formula: str, *sources: Source, **others: Any) -> Component:
    return Component(
        name,
        "function",
        summary,
        formula,
        f"torch.nn.functional.{name}",
        sources,
        inputs=("x",),
        construct=_stride,
        **others,
    )


COMPONENTS: tuple[Component, ...] = (
    _windowed(
        "max_pool2d",
        "Largest value of each window of an image",
        r"\max_{i < k,\, j < k} x_{sp + di - \pi,\; sq + dj - \pi}",
        NOTES,
        RANZATO,
        settings={"kernel_size": 2, "stride": None, "padding": 0, "dilation": 1, "ceil_mode": False},
        conventions=(TIES, NAN, PADDING_VALUE, ROUNDING),
        operations=_summed,
        magnitude=_upstream,
    ),
    _windowed(
        "avg_pool2d",
        "Mean of each window of an image",
        r"\frac{1}{n_{pq}} \sum_{i < k,\, j < k} x_{sp + i - \pi,\; sq + j - \pi}",
        NOTES,
        LECUN,
        settings={
            "kernel_size": 2,
            "stride": None,
            "padding": 0,
            "ceil_mode": False,
            "count_include_pad": True,
            "divisor_override": None,
        },
        conventions=(DIVISOR, ROUNDING),
        operations=_summed,
        magnitude=_largest_sum,
    ),
    _windowed(
        "lp_pool2d",
        "k-norm of each window of an image: L_k pooling",
        r"\left( \sum_{i < k,\, j < k} x_{sp + i,\; sq + j}^{\,p} \right)^{1/p}",
        NOTES,
        SERMANET,
        settings={"norm_type": 2, "kernel_size": 2, "stride": None, "ceil_mode": False},
        conventions=(POWER, OVERHANG, ROUNDING),
        operations=_powers,
    ),
    Component(
        "global_avg_pool2d",
        "function",
        "Mean of each channel of each image",
        r"\frac{1}{HW} \sum_{h < H,\, w < W} x_{nchw}",
        "f(x[N,C,H,W]) -> [N,C]",
        (notes("003, classic networks"), LIN),
        inputs=("x",),
        conventions=(KEPT,),
        operations=_image,
        magnitude=_largest_sum,
    ),
)
