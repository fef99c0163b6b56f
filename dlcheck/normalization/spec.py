"""What the normalisation layers are: their inputs, settings, conventions and sources."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from dlcheck.component import Case, Component, Convention, Option, Source, notes

_IOFFE = Source(
    "Ioffe, Szegedy: Batch normalization",
    "ICML 2015, algorithms 1 and 2, section 3",
    "https://arxiv.org/abs/1502.03167",
)
_ALEXNET = Source(
    "Krizhevsky, Sutskever, Hinton: ImageNet classification with deep convolutional neural networks",
    "2012, section 3.3",
    "https://papers.nips.cc/paper/2012/hash/c399862d3b9d6b76c8436e924a68c45b-Abstract.html",
)
_TORCH_BN = Source(
    "PyTorch: BatchNorm1d", "", "https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm1d.html"
)
_TORCH_LRN = Source(
    "PyTorch: LocalResponseNorm", "", "https://docs.pytorch.org/docs/stable/generated/torch.nn.LocalResponseNorm.html"
)
_KERAS = Source(
    "Keras: BatchNormalization", "", "https://keras.io/api/layers/normalization_layers/batch_normalization/"
)
_FLAX = Source(
    "Flax: BatchNorm",
    "flax/linen/normalization.py",
    "https://github.com/google/flax/blob/main/flax/linen/normalization.py",
)
_ONNX_BN = Source("ONNX: BatchNormalization", "", "https://onnx.ai/onnx/operators/onnx__BatchNormalization.html")
_CHAINER_BN = Source(
    "Chainer: batch normalisation",
    "chainer/functions/normalization/batch_normalization.py",
    "https://github.com/chainer/chainer/blob/master/chainer/functions/normalization/batch_normalization.py",
)
_MLX = Source("MLX: unbiased running variance", "pull request 3817", "https://github.com/ml-explore/mlx/pull/3817")
_ARENA = Source("ARENA 3.0", "pull request 415", "https://github.com/callummcdougall/ARENA_3.0/pull/415")
_CAFFE_LRN = Source(
    "Caffe: LRN layer",
    "src/caffe/layers/lrn_layer.cpp",
    "https://github.com/BVLC/caffe/blob/master/src/caffe/layers/lrn_layer.cpp",
)
_ONNX_LRN = Source("ONNX: LRN", "", "https://onnx.ai/onnx/operators/onnx__LRN.html")
_TF_LRN = Source(
    "TensorFlow: tf.nn.local_response_normalization",
    "",
    "https://www.tensorflow.org/api_docs/python/tf/nn/local_response_normalization",
)
_ONEDNN = Source("oneDNN: alpha of LRN", "issue 396", "https://github.com/uxlfoundation/oneDNN/issues/396")
_KERAS_CAFFE = Source("A layer for Caffe's weights", "pull request 4", "https://github.com/MarcBS/keras/pull/4")
_MNN = Source("MNN: radius or size", "issue 192", "https://github.com/alibaba/MNN/issues/192")

_MOMENTUM = Convention(
    "momentum",
    "what momentum weighs, and its value where none is given",
    (
        Option(
            "new_0.1",
            "weight of the new batch, 0.1 unless given",
            {"momentum_weighs": "new", "momentum": 0.1},
            ("PyTorch", "MLX", "candle", "Torch7", "Theano", "Lasagne", "burn"),
        ),
        Option(
            "old_0.99",
            "weight of the old value, 0.99 unless given",
            {"momentum_weighs": "old", "momentum": 0.99},
            ("Keras", "Flax", "TensorFlow"),
        ),
        Option(
            "old_0.9",
            "weight of the old value, 0.9 unless given",
            {"momentum_weighs": "old", "momentum": 0.9},
            ("ONNX", "Chainer", "MXNet"),
        ),
        Option(
            "old_0.999",
            "weight of the old value, 0.999 unless given",
            {"momentum_weighs": "old", "momentum": 0.999},
            ("TensorFlow's fused operator of old",),
        ),
    ),
    (_TORCH_BN, _KERAS, _FLAX, _ONNX_BN),
)
_RUNNING_VARIANCE = Convention(
    "running_variance",
    "the estimator of the variance that is averaged",
    (
        Option(
            "unbiased",
            "times m / (m - 1)",
            {"running_variance": "unbiased"},
            ("PyTorch", "Caffe", "Chainer", "Theano", "MLX", "TensorFlow's fused operator", "Ioffe and Szegedy"),
        ),
        Option("biased", "as it normalises the batch", {"running_variance": "biased"}, ("Keras", "Flax", "ONNX")),
    ),
    (_IOFFE, _TORCH_BN, _CHAINER_BN, _MLX, _ARENA),
)
_EPS = Convention(
    "default_eps",
    "the value of eps where none is given",
    (
        Option("1e-5", "eps is 1e-5 unless given", {"eps": 1e-5}, ("PyTorch", "Flax", "Caffe", "MLX")),
        Option("1e-3", "eps is 1e-3 unless given", {"eps": 1e-3}, ("Keras", "TensorFlow", "MXNet")),
        Option("1e-4", "eps is 1e-4 unless given", {"eps": 1e-4}, ("Lasagne", "Theano")),
    ),
    (_TORCH_BN, _KERAS, _FLAX),
)
_ONE_VALUE = Convention(
    "one_value",
    "a single value per channel in training",
    (
        Option("error", "refused", {"one_value": "error"}, ("PyTorch", "MLX")),
        Option("bias", "gives the bias, as the value is its own mean", {"one_value": "bias"}, ("Keras", "Flax")),
    ),
    (_TORCH_BN, _KERAS, _MLX),
)
_ALPHA_SCALE = Convention(
    "alpha_scale",
    "whether alpha is divided by the size of the window",
    (
        Option(
            "divided",
            "k + alpha / n times the sum of squares",
            {"alpha_scale": "divided"},
            ("PyTorch", "Caffe", "ONNX", "MXNet", "Torch7", "oneDNN"),
        ),
        Option(
            "whole",
            "k + alpha times the sum of squares",
            {"alpha_scale": "whole"},
            ("Krizhevsky et al.", "TensorFlow", "Chainer", "Lasagne", "Paddle", "pylearn2"),
        ),
    ),
    (_ALEXNET, _TORCH_LRN, _CAFFE_LRN, _TF_LRN, _ONEDNN, _KERAS_CAFFE),
)
_WINDOW = Convention(
    "window",
    "what the argument of the window says",
    (
        Option("size", "how many channels it takes in", {"window": "size"}, ("PyTorch", "Caffe", "ONNX", "Chainer")),
        Option("radius", "how many on either side", {"window": "radius"}, ("TensorFlow",)),
    ),
    (_TORCH_LRN, _TF_LRN, _MNN),
)
_EVEN_WINDOW = Convention(
    "even_window",
    "where a window of even size has its further channel",
    (
        Option("below", "before its own channel", {"even_window": "below"}, ("PyTorch",)),
        Option("above", "after its own channel", {"even_window": "above"}, ("ONNX", "cuDNN")),
    ),
    (_TORCH_LRN, _ONNX_LRN),
)
_LRN_DEFAULTS = Convention(
    "defaults",
    "size, alpha, beta and k where none are given",
    (
        Option("torch", "alpha 1e-4, beta 0.75, k 1", {"alpha": 1e-4, "beta": 0.75, "k": 1.0}, ("PyTorch", "Paddle")),
        Option(
            "alexnet",
            "alpha 1e-4, beta 0.75, k 2",
            {"alpha": 1e-4, "beta": 0.75, "k": 2.0},
            ("Krizhevsky et al.", "Chainer", "Lasagne"),
        ),
        Option(
            "tensorflow", "size 11, alpha 1, beta 0.5, k 1", {"size": 11, "alpha": 1.0, "beta": 0.5, "k": 1.0},
            ("TensorFlow",),
        ),
        Option(
            "tensorflow_radius", "radius 5, alpha 1, beta 0.5, k 1", {"size": 5, "alpha": 1.0, "beta": 0.5, "k": 1.0},
            ("TensorFlow, its radius under another name",),
        ),
        Option("caffe", "alpha 1, beta 0.75, k 1", {"alpha": 1.0, "beta": 0.75, "k": 1.0}, ("Caffe",)),
    ),
    (_ALEXNET, _TORCH_LRN, _TF_LRN, _CAFFE_LRN),
)  # fmt: skip


def _values_per_channel(x: Any) -> int:
    return np.size(x) // max(np.shape(x)[1], 1)


def _session_roundings(case: Case) -> int:
    """Two dozen operations a step, and the terms of its sums; the sums of an exact case do not round."""
    steps = case.inputs["steps"]
    terms = 0 if case.exact else max(_values_per_channel(step["x"]) for step in steps)
    return 24 * len(steps) + terms


def _session_magnitude(case: Case) -> float:
    """What cancels on the way: an upstream gradient less its projections, in exact cases a scaled input less its mean.

    Elsewhere conditioning accounts for the latter.
    """
    steps, eps = case.inputs["steps"], case.settings.get("eps", 1e-5)
    if case.run == "backward":
        upstream = max(np.abs(step["grad_output"]).max(initial=0.0) for step in steps)
        weight = np.abs(case.inputs.get("weight", 1.0)).max()
        return float(upstream * weight / np.sqrt(min(map(_least_variance, steps)) + eps))
    return float(max(np.abs(step["x"]).max(initial=0.0) for step in steps) / np.sqrt(eps)) if case.exact else 0.0


def _least_variance(step: Mapping[str, Any]) -> float:
    values = np.moveaxis(np.asarray(step["x"]), 1, 0)
    return float(values.reshape(len(values), -1).var(1).min(initial=1.0)) if values.size else 1.0


def _window_roundings(case: Case) -> int:
    """A power and what surrounds it, and sums over all channels: a window may be the difference of two of them."""
    return 16 + 8 * np.shape(case.inputs["x"])[1]


def _channels(case: Case) -> Mapping[str, Any]:
    return {"num_features": int(np.shape(case.inputs["steps"][0]["x"])[1])}


COMPONENTS = (
    Component(
        name="batch_norm",
        form="batch_norm",
        summary="Each channel brought to mean beta and standard deviation gamma: over the batch, or by running "
        "statistics.",
        formula=r"y = \gamma \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta",
        model="torch.nn.BatchNorm1d and BatchNorm2d, torch.nn.functional.batch_norm",
        sources=(_IOFFE, notes("001, section 4"), notes("003, batch normalisation")),
        inputs=("x",),
        optional=("weight", "bias"),
        parameters=("weight", "bias"),
        settings={"momentum": 0.1, "eps": 1e-5, "affine": True, "track_running_stats": True},
        conventions=(_MOMENTUM, _RUNNING_VARIANCE, _EPS, _ONE_VALUE),
        operations=_session_roundings,
        magnitude=_session_magnitude,
        construct=_channels,
    ),
    Component(
        name="local_response_norm",
        form="function",
        summary="A response divided by a power of what its neighbours in the channel direction give at the same place.",
        formula=r"y_c = x_c \left( k + \frac{\alpha}{n} \sum_{j} x_j^2 \right)^{-\beta}",
        model="torch.nn.functional.local_response_norm, torch.nn.LocalResponseNorm",
        sources=(_ALEXNET, notes("002, AlexNet")),
        inputs=("x",),
        settings={"size": 5, "alpha": 1e-4, "beta": 0.75, "k": 1.0},
        conventions=(_ALPHA_SCALE, _WINDOW, _EVEN_WINDOW, _LRN_DEFAULTS),
        operations=_window_roundings,
    ),
)
