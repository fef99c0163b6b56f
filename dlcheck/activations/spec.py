"""What the activation functions are: their inputs, settings, conventions and sources."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from dlcheck.component import Case, Component, Convention, Option, Source, notes

GOODFELLOW = "Goodfellow, Bengio, Courville: Deep learning"
LECUN = Source(
    "LeCun, Bottou, Orr, Müller: Efficient BackProp", "1998, section 4.4", "https://doi.org/10.1007/3-540-49430-8_2"
)
NAIR = Source(
    "Nair, Hinton: Rectified linear units improve restricted Boltzmann machines",
    "ICML 2010, section 2",
    "https://www.cs.toronto.edu/~fritz/absps/reluICML.pdf",
)
MAAS = Source(
    "Maas, Hannun, Ng: Rectifier nonlinearities improve neural network acoustic models",
    "2013, section 2",
    "https://ai.stanford.edu/~amaas/papers/relu_hybrid_icml2013_final.pdf",
)
HE = Source(
    "He, Zhang, Ren, Sun: Delving deep into rectifiers",
    "ICCV 2015, section 2.1, equations 1 to 3",
    "https://arxiv.org/abs/1502.01852",
)
MAXOUT = Source(
    "Goodfellow, Warde-Farley, Mirza, Courville, Bengio: Maxout networks",
    "ICML 2013, section 2",
    "https://arxiv.org/abs/1302.4389",
)
THEANO = Source(
    "Theano: relu",
    "theano/tensor/nnet/nnet.py",
    "https://github.com/Theano/Theano/blob/master/theano/tensor/nnet/nnet.py",
)
JAX = Source("JAX: jax.nn", "", "https://docs.jax.dev/en/latest/jax.nn.html")
KERAS = Source("Keras: activation layers", "", "https://keras.io/api/layers/activation_layers/")
KERAS_PRELU = Source(
    "Keras: PReLU",
    "keras/src/layers/activations/prelu.py",
    "https://github.com/keras-team/keras/blob/master/keras/src/layers/activations/prelu.py",
)
CAFFE = Source(
    "Caffe: layer parameters", "caffe.proto", "https://github.com/BVLC/caffe/blob/master/src/caffe/proto/caffe.proto"
)
CHAINER = Source(
    "Chainer: softmax",
    "chainer/functions/activation/softmax.py",
    "https://github.com/chainer/chainer/blob/master/chainer/functions/activation/softmax.py",
)
ONNX = Source("ONNX: Softmax", "versions 11 and 13", "https://onnx.ai/onnx/operators/onnx__Softmax.html")
TORCH = Source("PyTorch: torch.nn.functional", "", "https://docs.pytorch.org/docs/stable/nn.functional.html")

RELU_AT_ZERO = Convention(
    "gradient_at_zero",
    "derivative at exactly 0",
    (
        Option("0", "as left of zero", {"gradient_at_zero": 0.0}, ("PyTorch", "jax.nn.relu", "TensorFlow", "Keras")),
        Option(
            "0.5", "split between x and 0", {"gradient_at_zero": 0.5}, ("torch.maximum", "jax.numpy.maximum", "Theano")
        ),
        Option("1", "as right of zero", {"gradient_at_zero": 1.0}, ("tf.maximum", "torch.clamp")),
    ),
    (TORCH, JAX, THEANO),
)
RELU_NAN = Convention(
    "nan",
    "what becomes of NaN",
    (
        Option("propagates", "NaN stays NaN", {"nan": "propagates"}, ("PyTorch", "JAX", "TensorFlow")),
        Option("zero", "0, as NaN > 0 is false", {"nan": "zero"}, ("kernels written x > 0 ? x : 0",)),
    ),
)


def _at_zero(*one: str, slope: tuple[str, ...], zero: tuple[str, ...] = ()) -> Convention:
    return Convention(
        "gradient_at_zero",
        "derivative at exactly 0",
        (
            Option("slope", "as left of zero", {"gradient_at_zero": "slope"}, slope),
            Option("one", "as right of zero", {"gradient_at_zero": "one"}, one),
            Option("mean", "mean of both sides", {"gradient_at_zero": "mean"}, ("torch.maximum(x, a x)",)),
            Option("zero", "0, as of relu(x) - a relu(-x)", {"gradient_at_zero": "zero"}, zero),
            Option(
                "sum", "1 + a, as of clamp(x, min=0) + a clamp(x, max=0)", {"gradient_at_zero": "sum"}, ("torch.clamp",)
            ),
        ),
        (TORCH, JAX, KERAS_PRELU),
    )


DEFAULT_SLOPE = Convention(
    "default_slope",
    "slope left of zero when none is given",
    (
        Option("0.01", "0.01", {"negative_slope": 0.01}, ("PyTorch", "jax.nn", "Flax", "Lasagne", "ONNX")),
        Option("0.3", "0.3", {"negative_slope": 0.3}, ("Keras LeakyReLU",)),
        Option("0.2", "0.2", {"negative_slope": 0.2}, ("tf.nn.leaky_relu", "keras.activations", "Chainer")),
        Option("0", "0: plain ReLU", {"negative_slope": 0.0}, ("Caffe",)),
    ),
    (TORCH, KERAS, CAFFE),
)
TIES = Convention(
    "ties",
    "which of equal affine maps receives the gradient",
    (
        Option("first", "the first", {"ties": "first"}, ("torch.max over an axis",)),
        Option("last", "the last", {"ties": "last"}, ("loops written value >= maximum",)),
        Option("split", "all, each an equal part", {"ties": "split"}, ("torch.amax", "jax.numpy.max")),
        Option("halved", "all, half from each comparison in turn", {"ties": "halved"}, ("torch.maximum, map by map",)),
        Option("all", "all, each the whole", {"ties": "all"}, ("masks written values == maximum",)),
    ),
    (TORCH, JAX),
)
DEFAULT_AXIS = Convention(
    "default_axis",
    "axis when none is given",
    (
        Option("by_rank", "0 for 0, 1 or 3 axes, else 1", {"default_dim": "by_rank"}, ("PyTorch",)),
        Option("last", "the last", {"default_dim": "last"}, ("Keras", "jax.nn", "TensorFlow", "ONNX since 13")),
        Option("one", "axis 1", {"default_dim": "one"}, ("Caffe", "Chainer")),
        Option(
            "flattened", "axis 1 and all after it as one", {"default_dim": "flattened"}, ("ONNX before 13", "Caffe2")
        ),
    ),
    (TORCH, JAX, CAFFE, CHAINER, ONNX),
)


def _torch(name: str) -> str:
    return f"torch.nn.functional.{name}"


def _summed(case: Case) -> int:
    """Roundings of PReLU: its slopes' gradients sum over all elements that share a slope."""
    return 8 + case.inputs["x"].size // max(case.inputs["weight"].size, 1)


def _longest_axis(case: Case) -> int:
    return 8 + max(case.inputs["x"].shape, default=1)


def _one(case: Case) -> float:
    """Formulas such as s (1 - s), 2 sigmoid(2x) - 1 and grad - sum(grad * s) round at the size of 1, or of grad."""
    return float(np.abs(case.inputs["grad_output"]).max(initial=0.0)) if case.run == "backward" else 1.0


def _as_half_sums(case: Case) -> float:
    """((1 + a) x + (1 - a) |x|) / 2, as Lasagne writes it, rounds at the size of x, or of grad."""
    sizes = case.inputs["grad_output" if case.run == "backward" else "x"]
    return float(np.abs(sizes[np.isfinite(sizes)]).max(initial=0.0))


def _products(case: Case) -> int:
    """Roundings of maxout: its longest sum is over inputs, examples, or all affine maps."""
    return 8 + max(*case.inputs["x"].shape, case.inputs["bias"].size)


def _one_slope_or_channels(case: Case) -> Mapping[str, Any]:
    slopes = np.unique(case.inputs["weight"])
    return {"num_parameters": case.inputs["weight"].size, **({"init": float(slopes[0])} if len(slopes) == 1 else {})}


def _implicit_axis(case: Case) -> Mapping[str, Any]:
    """The axis of torch's implicit rule, for code that requires one."""
    return {"dim": 0 if case.inputs["x"].ndim in (0, 1, 3) else 1}


def _component(name: str, summary: str, formula: str, *sources: Source, **others: Any) -> Component:
    return Component(name, "function", summary, formula, _torch(name), sources, **{"inputs": ("x",), **others})


def _along_an_axis(name: str, summary: str, formula: str, equation: str) -> Component:
    sources = Source(GOODFELLOW, f"2016, {equation}", "https://www.deeplearningbook.org"), notes("001, section 2")
    return _component(
        name,
        summary,
        formula,
        *sources,
        settings={"dim": None},
        conventions=(DEFAULT_AXIS,),
        operations=_longest_axis,
        magnitude=_one,
        construct=_implicit_axis,
    )


COMPONENTS: tuple[Component, ...] = (
    _component(
        "sigmoid",
        "Logistic function, from the real line to (0, 1)",
        r"\sigma(x) = \frac{1}{1 + e^{-x}}",
        notes("001, section 3.1"),
        Source(GOODFELLOW, "2016, equation 3.30", "https://www.deeplearningbook.org"),
        magnitude=_one,
    ),
    _component(
        "tanh",
        "Hyperbolic tangent, from the real line to (-1, 1)",
        r"\tanh x = \frac{e^x - e^{-x}}{e^x + e^{-x}}",
        notes("001, section 3.2"),
        LECUN,
        magnitude=_one,
    ),
    _component(
        "relu",
        "Rectified linear unit",
        r"\max(0, x)",
        notes("001, section 3.3"),
        NAIR,
        conventions=(RELU_AT_ZERO, RELU_NAN),
    ),
    _component(
        "leaky_relu",
        "Rectified linear unit with a fixed slope left of zero",
        r"x \text{ for } x > 0, \quad a x \text{ otherwise}",
        notes("001, section 3.4"),
        MAAS,
        settings={"negative_slope": 0.01},
        conventions=(DEFAULT_SLOPE, _at_zero("jax.nn.leaky_relu", slope=("PyTorch", "TensorFlow"))),
        magnitude=_as_half_sums,
    ),
    _component(
        "prelu",
        "Rectified linear unit whose slope left of zero is learned, one for all or one a channel",
        r"x \text{ for } x > 0, \quad a_c x \text{ otherwise}",
        notes("001, section 3.4"),
        HE,
        inputs=("x", "weight"),
        parameters=("weight",),
        conventions=(_at_zero("code written x >= 0", slope=("PyTorch",), zero=("Keras PReLU",)),),
        operations=_summed,
        magnitude=_as_half_sums,
        construct=_one_slope_or_channels,
    ),
    Component(
        "maxout",
        "function",
        "Largest of k affine maps",
        r"\max_{j \le k} \left( w_{jo} \cdot x + b_{jo} \right)",
        "f(x[N,in], weight[k,out,in], bias[k,out]) -> [N,out]",
        (notes("001, section 3.5"), MAXOUT),
        inputs=("x", "weight", "bias"),
        parameters=("weight", "bias"),
        conventions=(TIES,),
        operations=_products,
    ),
    _along_an_axis(
        "softmax", "Normalised exponentials along an axis", r"\frac{e^{x_i}}{\sum_j e^{x_j}}", "equation 6.29"
    ),
    _along_an_axis(
        "log_softmax",
        "Logarithm of softmax, finite where softmax underflows",
        r"x_i - \log \sum_j e^{x_j}",
        "equation 6.30",
    ),
)
