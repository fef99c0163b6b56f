"""The networks on NumPy: a declaration, its parameters and some images give the outputs and every gradient.

The functions named as the components give the declarations.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcheck.activations import reference as activations
from dlcheck.layers import reference as layers_reference
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
from dlcheck.models.inception import googlenet, inception_v2, inception_v3, inception_v4  # noqa: F401
from dlcheck.models.networks import alexnet, lenet5, nin, vgg11, vgg13, vgg16, vgg19  # noqa: F401
from dlcheck.models.residual import (  # noqa: F401
    cifar_resnet,
    resnet18,
    resnet34,
    resnet50,
    resnet101,
    resnet152,
)
from dlcheck.normalization import reference as normalization
from dlcheck.pooling import reference as pooling

Array = NDArray[np.float64]
Parameters = Mapping[str, Array]
Pullback = Callable[[Array], Array]
"""The gradient of a layer's input from that of its output."""
Ran = tuple[Array, Pullback]


def initial(network: Network, rng: np.random.Generator) -> dict[str, Array]:
    """Parameters and running statistics of a network by name, drawn at random.

    Weights are normal with variance 2 / fan-in (He et al. 2015), so that numbers keep their size through ReLUs; all
    others are drawn near what they start from in training (0 or 1), for a test to see each of them.
    """
    return {f"{row.path}.{name}": _drawn(name, shape, rng) for row in rows(network) for name, shape in _held(row)}


def _held(row: Row) -> list[tuple[str, tuple[int, ...]]]:
    held = list(row.parameters.items())
    statistics = [(name, row.before.shape[:1]) for name in ("running_mean", "running_var")]
    return held + statistics if isinstance(row.layer, BatchNorm) else held


def _drawn(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    if name == "weight" and len(shape) > 1:
        return rng.normal(0.0, np.sqrt(2 / np.prod(shape[1:])), shape)
    return rng.uniform(0.75, 1.25, shape) if name in ("weight", "running_var") else rng.uniform(-0.1, 0.1, shape)


def forward(
    network: Network, parameters: Parameters, images: Array, batch_statistics: bool = False
) -> tuple[Array, ...]:
    """The outputs of a network: that of its last layer, then those of its heads.

    ``batch_statistics`` normalises by the batch, as in training, in place of the running statistics. Dropout leaves all
    numbers as they are.
    Shapes: images (N, C, H, W); each output (N, num_classes).
    Raises: ValueError where images do not have the channels of the network, or are too small for it.
    """
    ran = _Pass(parameters, batch_statistics)
    output, _ = ran.sequence(network.layers, _checked(network, images), "")
    return output, *ran.heads


def backward(
    network: Network,
    parameters: Parameters,
    images: Array,
    grad_outputs: Sequence[Array],
    batch_statistics: bool = False,
) -> dict[str, Array]:
    """The gradients of all parameters by name, and of the images as "images".

    Shapes: images (N, C, H, W); grad_outputs one (N, num_classes) for each output of ``forward``.
    Raises: ValueError as ``forward``, and where a gradient has not the shape of its output.
    """
    ran = _Pass(parameters, batch_statistics)
    output, pullback = ran.sequence(network.layers, _checked(network, images), "")
    expected = [made.shape for made in (output, *ran.heads)]
    if (found := [np.shape(grad) for grad in grad_outputs]) != expected:
        raise ValueError(f"grad_outputs had shapes {found}, expected {expected}")
    ran.grad_heads = list(grad_outputs[1:])
    ran.gradients["images"] = pullback(np.asarray(grad_outputs[0], np.float64))
    return ran.gradients


def _checked(network: Network, images: Any) -> Array:
    array = np.asarray(images, np.float64)
    if array.ndim != 4 or array.shape[1] != network.image[0]:
        raise ValueError(f"images had shape {array.shape}, expected (N, {network.image[0]}, H, W)")
    return array


class _Pass:
    """One pass through a network: what it reads, and what it gathers on the way there and back."""

    def __init__(self, parameters: Parameters, batch_statistics: bool):
        self.parameters, self.batch_statistics = parameters, batch_statistics
        self.heads: list[Array] = []
        self.grad_heads: list[Array] = []
        self.gradients: dict[str, Array] = {}

    def sequence(self, layers: Layers, x: Array, prefix: str) -> Ran:
        """Layers one after the other: a loop, for a thousand of them would be too deep for recursion."""
        pullbacks: list[Pullback] = []
        for index, layer in enumerate(layers):
            x, pullback = self.layer(layer, x, f"{prefix}{index}")
            pullbacks.append(pullback)

        def back(grad: Array) -> Array:
            for pullback in reversed(pullbacks):
                grad = pullback(grad)
            return grad

        return x, back

    def layer(self, layer: Layer, x: Array, path: str) -> Ran:
        """One layer, the parameters of which have names that begin with ``path``."""
        match layer:
            case Sum() | Concat():
                return self._joined(layer, x, path)
            case Head(inner):
                return self._headed(inner, x, path)
            case Conv() | Linear() | BatchNorm() | Scale():
                return self._learned(layer, x, path)
            case _:
                return _fixed(layer, x)

    def _joined(self, layer: Sum | Concat, x: Array, path: str) -> Ran:
        ran = [self.sequence(branch, x, f"{path}.{number}.") for number, branch in enumerate(layer.branches)]
        outputs, pullbacks = [y for y, _ in ran], [pullback for _, pullback in ran]
        if isinstance(layer, Sum):
            return sum(outputs[1:], outputs[0]), lambda grad: sum((back(grad) for back in pullbacks), np.zeros(()))
        ends = np.cumsum([y.shape[1] for y in outputs])[:-1]

        def back(grad: Array) -> Array:
            parts = np.split(grad, ends, axis=1)
            return sum((back(part) for back, part in zip(pullbacks, parts, strict=True)), np.zeros(()))

        return np.concatenate(outputs, axis=1), back

    def _headed(self, inner: Layers, x: Array, path: str) -> Ran:
        output, pullback = self.sequence(inner, x, f"{path}.0.")
        index = len(self.heads)
        self.heads.append(output)
        return x, lambda grad: grad + pullback(self.grad_heads[index])

    def _learned(self, layer: Conv | Linear | BatchNorm | Scale, x: Array, path: str) -> Ran:
        weight, bias = self.parameters.get(f"{path}.weight"), self.parameters.get(f"{path}.bias")
        output, gradients = self._called(layer, x, weight, bias, path)

        def back(grad: Array) -> Array:
            found = gradients(grad)
            self.gradients |= {f"{path}.{name}": value for name, value in found.items() if name != "x"}
            return found["x"]

        return output, back

    def _called(
        self, layer: Layer, x: Array, weight: Any, bias: Any, path: str
    ) -> tuple[Array, Callable[[Array], Mapping[str, Array]]]:
        """The output of a layer, and its gradients by name from that of the output."""
        match layer:
            case Conv(table=table) if table:
                return _connected(layer, x, weight, bias)
            case Conv(_, _, stride, padding, groups):
                keywords: Any = {"stride": stride, "padding": padding, "groups": groups}
                y = layers_reference.conv2d(x, weight, bias, **keywords)
                return y, lambda grad: layers_reference.conv2d_backward(grad, x, weight, bias, **keywords)
            case Linear():
                y = layers_reference.linear(x, weight, bias)
                return y, lambda grad: layers_reference.linear_backward(grad, x, weight, bias)
            case BatchNorm(eps):
                return self._normalized(x, weight, bias, path, eps)
            case _:
                scale, shift = weight[:, None, None], bias[:, None, None]
                axes = (0, 2, 3)
                return x * scale + shift, lambda grad: {
                    "x": grad * scale, "weight": (grad * x).sum(axes), "bias": grad.sum(axes)
                }  # fmt: skip

    def _normalized(self, x: Array, weight: Array, bias: Array, path: str, eps: float) -> Any:
        held = normalization.Statistics(self.parameters[f"{path}.running_mean"], self.parameters[f"{path}.running_var"])
        keywords: Any = {"training": self.batch_statistics, "eps": eps}
        y, _ = normalization.batch_norm(x, weight, bias, held, **keywords)
        return y, lambda grad: normalization.batch_norm_backward(grad, x, weight, bias, held, **keywords)


def _connected(layer: Conv, x: Array, weight: Array, bias: Any) -> tuple[Array, Callable[[Array], dict[str, Array]]]:
    """A convolution by its table: the kernels of the connections there are, among zeros."""
    outputs = np.repeat(np.arange(layer.channels), [len(seen) for seen in layer.table])
    inputs = np.concatenate([np.array(seen) for seen in layer.table])
    whole = np.zeros((layer.channels, x.shape[1], *weight.shape[1:]))
    whole[outputs, inputs] = weight
    keywords: Any = {"stride": layer.stride, "padding": layer.padding}

    def gradients(grad: Array) -> dict[str, Array]:
        found = layers_reference.conv2d_backward(grad, x, whole, bias, **keywords)
        return {**found, "weight": found["weight"][outputs, inputs]}

    return layers_reference.conv2d(x, whole, bias, **keywords), gradients


def _fixed(layer: Layer, x: Array) -> Ran:
    """A layer without parameters."""
    match layer:
        case Activation(kind):
            return _activated(kind, x)
        case Pool(kind, kernel, stride, padding, ceil):
            function = {"max": pooling.max_pool2d, "average": pooling.avg_pool2d}[kind]
            back = {"max": pooling.max_pool2d_backward, "average": pooling.avg_pool2d_backward}[kind]
            keywords: Any = {"kernel_size": kernel, "stride": stride, "padding": padding, "ceil_mode": ceil}
            return function(x, **keywords), lambda grad: back(grad, x, **keywords)["x"]
        case GlobalPool():
            y = pooling.global_avg_pool2d(x)
            spread = x.shape[2] * x.shape[3]
            return y[:, :, None, None], lambda grad: np.broadcast_to(grad / spread, x.shape).copy()
        case AdaptivePool(size):
            return _averaged(x, size)
        case ResponseNorm(size, alpha, beta, k):
            scale: Any = {"size": size, "alpha": alpha, "beta": beta, "k": k}
            y = normalization.local_response_norm(x, **scale)
            return y, lambda grad: normalization.local_response_norm_backward(grad, x, **scale)["x"]
        case Flatten():
            return x.reshape(len(x), -1), lambda grad: grad.reshape(x.shape)
        case Subsample(channels, stride):
            return _subsampled(x, channels, stride)
        case Dropout():
            return x, lambda grad: grad
        case _:
            raise TypeError(f"layer was {layer!r}, expected one of dlcheck.models.declaration")


def _activated(kind: str, x: Array) -> Ran:
    if kind == "scaled_tanh":
        # LeCun et al. 1998, appendix A: f(+-1) = +-1
        y = 1.7159 * activations.tanh(2 / 3 * x)
        return y, lambda grad: 1.7159 * 2 / 3 * activations.tanh_backward(grad, 2 / 3 * x)["x"]
    function, back = getattr(activations, kind), getattr(activations, f"{kind}_backward")
    keywords = {"dim": 1} if kind == "softmax" else {}
    return function(x, **keywords), lambda grad: back(grad, x, **keywords)["x"]


def _averaged(x: Array, size: int) -> Ran:
    """Averages over windows from floor(i n / size) to ceil((i + 1) n / size)."""
    y_parts, x_parts = (
        [slice(i * n // size, -(-(i + 1) * n // size)) for i in range(size)] for n in x.shape[2:]
    )  # fmt: skip
    y = np.stack([np.stack([x[:, :, h, w].mean((2, 3)) for w in x_parts], -1) for h in y_parts], -2)

    def back(grad: Array) -> Array:
        found = np.zeros_like(x)
        for i, h in enumerate(y_parts):
            for j, w in enumerate(x_parts):
                window = found[:, :, h, w]
                window += grad[:, :, i, j][..., None, None] / (window.shape[2] * window.shape[3])
        return found

    return y, back


def _subsampled(x: Array, channels: int, stride: int) -> Ran:
    kept = x[:, :, ::stride, ::stride]
    zeros = np.zeros((len(x), channels - x.shape[1], *kept.shape[2:]))

    def back(grad: Array) -> Array:
        found = np.zeros_like(x)
        found[:, :, ::stride, ::stride] = grad[:, : x.shape[1]]
        return found

    return np.concatenate([kept, zeros], axis=1), back
