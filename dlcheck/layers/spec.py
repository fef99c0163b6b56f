"""What the dense layer and the convolution are: their inputs, settings, conventions and sources."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from dlcheck.component import Case, Component, Convention, Option, Source, notes

_BOOK = "https://www.deeplearningbook.org"

KERNEL = Convention(
    "kernel",
    "whether the kernel is laid on the image as it is or flipped on both axes",
    (
        Option(
            "cross_correlation",
            "as it is",
            {"kernel": "cross_correlation"},
            ("PyTorch", "TensorFlow", "Keras", "JAX", "Caffe", "MXNet", "cuDNN by default", "MLX"),
        ),
        Option(
            "flipped",
            "flipped, the convolution of mathematics",
            {"kernel": "flipped"},
            ("Theano", "Lasagne", "NNlib.jl", "scipy.signal.convolve2d"),
        ),
    ),
    (
        Source("Theano: conv2d", "filter_flip", "https://theano-pymc.readthedocs.io/en/latest/library/tensor/nnet/conv.html"),
        Source("Goodfellow, Bengio, Courville: Deep learning", "2016, section 9.1", _BOOK),
    ),
)  # fmt: skip
SAME_PADDING = Convention(
    "same_padding",
    'where the odd zero of padding "same" stands, with an even kernel or a stride above 1',
    (
        Option(
            "end",
            "below and to the right",
            {"same_padding": "end"},
            ("TensorFlow", "Keras", 'JAX "SAME"', "ONNX SAME_UPPER", 'PyTorch "same", which has no stride'),
        ),
        Option("start", "above and to the left", {"same_padding": "start"}, ("ONNX SAME_LOWER", 'JAX "SAME_LOWER"')),
    ),
    (
        Source("ONNX: Conv", "auto_pad", "https://onnx.ai/onnx/operators/onnx__Conv.html"),
        Source("TensorFlow: tf.nn", "notes on padding", "https://www.tensorflow.org/api_docs/python/tf/nn"),
    ),
)


def _largest(values: Any) -> float:
    """The largest finite size among numbers."""
    sizes = np.abs(np.asarray(values, np.float64))
    return float(sizes[np.isfinite(sizes)].max(initial=0.0))


def _sums(case: Case) -> int:
    """Roundings: the longest sum is over the inputs of an output, the outputs of an input, or all positions."""
    inputs, weight = case.inputs["x"], case.inputs["weight"]
    positions = case.inputs["grad_output"].size if case.run == "backward" else 0
    return 8 + max(weight[:1].size, weight.size if positions else 0, positions // len(weight), inputs.ndim)


def _products(case: Case) -> float:
    """The size at which sums of products round, in whatever order: that of the products' absolute values.

    Algorithms that add and subtract before they multiply (Winograd's, the Fourier transform) round at that size even
    where the products cancel, or where there are none.
    """
    x, weight = _largest(case.inputs["x"]), np.abs(case.inputs["weight"]).reshape(len(case.inputs["weight"]), -1)
    if case.run == "forward":
        return x * _largest(weight.sum(axis=1)) + _largest(case.inputs.get("bias", 0.0))
    grad = np.abs(case.inputs["grad_output"])
    return max(_largest(grad) * _largest(weight.sum(axis=0)), x * float(grad.sum()) / len(weight))


def _features(case: Case) -> Mapping[str, Any]:
    units, inputs = case.inputs["weight"].shape
    return {"in_features": inputs, "out_features": units, "bias": "bias" in case.inputs}


def _channels(case: Case) -> Mapping[str, Any]:
    filters, channels, rows, columns = case.inputs["weight"].shape
    return {
        "in_channels": channels * case.settings.get("groups", 1),
        "out_channels": filters,
        "kernel_size": rows if rows == columns else (rows, columns),
        "bias": "bias" in case.inputs,
    }


COMPONENTS: tuple[Component, ...] = (
    Component(
        "linear",
        "function",
        "Dense layer: every output is connected to every input",
        r"y_o = \sum_i w_{oi} x_i + b_o",
        "torch.nn.functional.linear",
        (
            notes("001, section 1.1"),
            Source("Goodfellow, Bengio, Courville: Deep learning", "2016, equation 6.36 and algorithm 6.4", _BOOK),
        ),
        inputs=("x", "weight"),
        optional=("bias",),
        parameters=("weight", "bias"),
        operations=_sums,
        magnitude=_products,
        construct=_features,
    ),
    Component(
        "conv2d",
        "function",
        "Two-dimensional convolution with stride, padding, dilation and groups",
        r"y^o_{npq} = b_o + \sum_{c i j} w^o_{cij}\, x^c_{n,\, s p + d i,\, s q + d j}",
        "torch.nn.functional.conv2d",
        (
            notes("001, section 1.3"),
            Source("Goodfellow, Bengio, Courville: Deep learning", "2016, equations 9.6 to 9.13", _BOOK),
            Source(
                "Dumoulin, Visin: A guide to convolution arithmetic for deep learning",
                "2016, relationships 1 to 15",
                "https://arxiv.org/abs/1603.07285",
            ),
            Source(
                "LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document recognition",
                "1998, section II.A",
                "https://doi.org/10.1109/5.726791",
            ),
        ),
        inputs=("x", "weight"),
        optional=("bias",),
        parameters=("weight", "bias"),
        settings={"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "padding_mode": "zeros"},
        conventions=(KERNEL, SAME_PADDING),
        operations=_sums,
        magnitude=_products,
        construct=_channels,
    ),
)
