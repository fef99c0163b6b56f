"""Keras 3 on the backends torch and jax: layers, losses, activations, initializers, optimizers."""

# pyright: reportAttributeAccessIssue=false
# where a framework is not installed, pyright takes the module of its name here for it

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import keras  # type: ignore[import-not-found]
import torch

from dlcheck.component import Component
from dlcheck.conformance.adapters import calling
from dlcheck.conformance.adapters.frameworks import naming
from dlcheck.conformance.adapters.frameworks.filling import in_place
from dlcheck.conformance.implementation import NotProvided, Refused

Tensor = torch.Tensor

_NAMES = {"dim": "axis"}
_OF_INITIALIZERS = {"std": "stddev", "val": "value", "a": "minval", "b": "maxval"}
_OF_OPTIMIZERS = {"lr": "learning_rate", "eps": "epsilon", "alpha": "rho"}


def in_torch(component: Component, code: Any) -> Any:
    """Keras' code as torch code, in float32 at most, which Keras makes of float64.

    Raises Refused for a backend that is neither torch nor jax.
    """
    driven = _driven(component, code)
    driven.widest = "float32"
    return driven


def _driven(component: Component, code: Any) -> Any:
    if keras.backend.backend() not in ("torch", "jax"):
        raise Refused(f"Keras runs on {keras.backend.backend()}, expected KERAS_BACKEND=torch or KERAS_BACKEND=jax")
    if component.form == "initializer":
        return in_place(component, code, _OF_INITIALIZERS, _drawn)
    if component.form in _CLASSES:
        return naming.derived(_CLASSES[component.form], code)
    if component.form == "optimizer":
        return _optimizer(code)
    if component.form != "function":
        raise Refused(f"Keras' code is not judged as {component.name}")
    if isinstance(code, type) and issubclass(code, keras.losses.Loss):
        return naming.function(component, _Loss(component, code), {})
    if isinstance(code, type) and component.name in _LAYERS:
        layer = partial(_LAYERS[component.name], code)
        layer.__name__ = code.__name__  # type: ignore[attr-defined]
        return layer
    if isinstance(code, type):
        return naming.function(component, _activation(code), {})
    return naming.function(component, code, _NAMES, lambda code, *given, **named: _backend(code)(*given, **named))


def _backend(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of the backend's arrays as one of tensors."""
    if keras.backend.backend() == "torch":
        return function
    from dlcheck.conformance.adapters.frameworks import jax

    return partial(jax.called, function)


def _made(code: Any, dtype: str, **keywords: Any) -> Any:
    """A layer, loss or optimizer that computes in a dtype: Keras' default decides too, for learning rates and means."""
    keras.config.set_floatx(dtype)
    return code(**keywords) if issubclass(code, keras.optimizers.Optimizer) else code(dtype=dtype, **keywords)


def _forward(code: Any, x: Tensor, weights: list[Tensor | None], **keywords: Any) -> Tensor:
    """One call of a layer made for its input."""
    layer = _made(code, calling.dtype_name(x), **keywords)
    layer.build(tuple(x.shape))
    values = [weight for weight in weights if weight is not None]
    if len(values) != len(layer.trainable_variables):
        raise NotProvided(f"it has {len(layer.trainable_variables)} weights, not {len(values)}")
    kept = [variable.value for variable in layer.non_trainable_variables]
    return _backend(lambda x, *values: layer.stateless_call(values, kept, x)[0])(x, *values)


def _images(code: Any, x: Tensor, weights: list[Tensor | None], **keywords: Any) -> Tensor:
    """The same for maps, which Keras has with their channels last."""
    return _forward(code, x.movedim(1, -1), weights, **keywords).movedim(-1, 1)


def _dense(code: Any, x: Tensor, weight: Tensor, bias: Tensor | None = None, **given: Any) -> Tensor:
    return _forward(code, x, [weight.T, bias], units=len(weight), use_bias=bias is not None, **given)


def _conv2d(
    code: Any, x: Tensor, weight: Tensor, bias: Tensor | None = None, *, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, groups: int = 1, **given: Any,
) -> Tensor:  # fmt: skip
    sizes = {"filters": len(weight), "kernel_size": tuple(weight.shape[2:]), "use_bias": bias is not None}
    steps = {"strides": naming.pair(stride), "dilation_rate": naming.pair(dilation), "groups": groups}
    named = {**sizes, **steps, "padding": naming.unpadded(padding, code.__name__), **given}
    return _images(code, x, [weight.permute(2, 3, 1, 0), bias], **named)


def _pool(code: Any, x: Tensor, kernel_size: Any = 2, stride: Any = None, padding: Any = 0, **given: Any) -> Tensor:
    steps = None if stride is None else naming.pair(stride)
    named = {
        "pool_size": naming.pair(kernel_size),
        "strides": steps,
        "padding": naming.unpadded(padding, code.__name__),
    }
    return _images(code, x, [], **named, **given)


def _global_pool(code: Any, x: Tensor, **given: Any) -> Tensor:
    return _forward(code, x.movedim(1, -1), [], **given)


def _prelu(code: Any, x: Tensor, weight: Tensor, **given: Any) -> Tensor:
    """Keras has a slope for every place but those of axes that share theirs, here all but the channels'."""
    if x.dim() < 2 or weight.numel() not in (1, x.shape[1]):
        raise NotProvided("it has a slope for each channel, and a batch of examples")
    last = x.movedim(1, -1)
    slopes = weight.expand(x.shape[1]).reshape(*[1] * (x.dim() - 2), -1)
    return _forward(code, last, [slopes], shared_axes=list(range(1, x.dim() - 1)) or None, **given).movedim(-1, 1)


_LAYERS: dict[str, Callable[..., Tensor]] = {
    "linear": _dense,
    "conv2d": _conv2d,
    "max_pool2d": _pool,
    "avg_pool2d": _pool,
    "global_avg_pool2d": _global_pool,
    "prelu": _prelu,
}


def _activation(code: Any) -> Callable[..., Tensor]:
    """A layer without weights, as a function of its input and the constructor's keywords."""

    def activation(x: Tensor, **settings: Any) -> Tensor:
        return _forward(code, x, [], **naming.keywords(settings, _NAMES))

    known = _known(code)
    if "axis" in known:
        return lambda x, dim=None, **more: activation(x, **({} if dim is None else {"dim": dim}), **more)
    if "negative_slope" in known:
        return lambda x, negative_slope=None, **more: activation(
            x, **({} if negative_slope is None else {"negative_slope": negative_slope}), **more
        )
    return lambda x: activation(x)


class _Loss:
    """A class of losses, which are called with the target first, and reduce over the last axis first."""

    def __init__(self, component: Component, code: Any):
        self.component, self.code, self.__name__ = component, code, code.__name__

    def __call__(self, input: Tensor, target: Tensor, reduction: str = "mean", **settings: Any) -> Tensor:
        reductions = {"mean": "sum_over_batch_size", "sum": "sum", "none": None}
        if reduction != "mean" and self.component.name != "cross_entropy":
            raise NotProvided("it takes the mean over the last axis in any case")
        known = _known(self.code)
        named = {"reduction": reductions[reduction], **settings}
        if "from_logits" in known:
            named["from_logits"] = True
        loss = _made(self.code, calling.dtype_name(input), **named)
        if self.component.name == "cross_entropy":
            input = input.movedim(1, -1) if input.dim() > 1 else input
            sparse = not target.is_floating_point()
            if sparse != ("Sparse" in self.__name__):
                raise NotProvided("it takes classes only" if not sparse else "it takes distributions only")
            target = target if sparse else target.movedim(1, -1) if target.dim() > 1 else target
        if self.component.name == "kl_div":
            input = input.exp()
        return _backend(lambda target, input: loss(target, input))(target, input)


class _Module(torch.nn.Module):
    """What holds the weights of a Keras layer and hands them over in each call; its layer is built for each dtype."""

    code: Any
    keywords: dict[str, Any]

    def built(self, dtype: str, shape: tuple[Any, ...]) -> Any:
        """The layer."""
        layer = _made(self.code, dtype, **self.keywords)
        layer.build(shape)
        return layer


class _Recurrent(_Module):
    """A recurrent layer with Keras' parameters, as the layout ``keras`` has them."""

    def __init__(self, units: int, input_dim: int, bias: bool = True, batch_first: bool = True, **settings: Any):
        super().__init__()
        if not batch_first:
            raise NotProvided("its sequences are (N, T, F)")
        activation = {"activation": settings.pop("nonlinearity")} if "nonlinearity" in settings else {}
        whole = {"return_sequences": True, "return_state": True}
        self.keywords = {"units": units, "use_bias": bias, **whole, **activation, **settings}
        self.shape = (None, None, input_dim)
        for variable in self.built("float64", self.shape).trainable_variables:
            values = torch.tensor(keras.ops.convert_to_numpy(variable.value))
            setattr(self, variable.name, torch.nn.Parameter(values))

    def forward(self, x: Tensor, h_0: Any = None, c_0: Any = None, lengths: Any = None) -> Any:
        """The outputs, and the state after the last step."""
        layer = self.built(calling.dtype_name(x), self.shape)
        state = [row for row in (h_0, c_0) if row is not None]
        if lengths is not None and len(lengths) != len(x):
            raise NotProvided("its sequences are (N, T, F)")
        mask = None if lengths is None else torch.arange(x.shape[1]) < lengths[:, None]
        values = [getattr(self, variable.name) for variable in layer.trainable_variables]

        def run(mask: Any, state: Any, x: Any, *values: Any) -> Any:
            given = {"initial_state": list(state)} if state else {}
            kept = [variable.value for variable in layer.non_trainable_variables]
            return layer.stateless_call(values, kept, x, mask=mask, **given)[0]

        return _backend(run)(mask, state, x, *values)


class _BatchNorm(_Module):
    """BatchNormalization with the model's names, over axis 1."""

    def __init__(self, num_features: int, eps: Any = None, momentum: Any = ..., affine: bool = True, **settings: Any):
        super().__init__()
        if momentum is None:
            raise NotProvided("it does not accept momentum=None")
        given = {"epsilon": eps} if eps is not None else {}
        self.keywords = {"center": affine, "scale": affine, **given, **settings}
        if momentum is not ...:
            self.momentum = momentum
        if affine:
            self.weight = torch.nn.Parameter(torch.ones(num_features))
            self.bias = torch.nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    def forward(self, x: Tensor) -> Tensor:
        """The output; in training mode the statistics move."""
        last = x.movedim(1, -1)
        self.keywords |= {"momentum": self.momentum} if hasattr(self, "momentum") else {}
        layer = self.built(calling.dtype_name(x), tuple(last.shape))
        weights, training = list(self.parameters()), self.training
        ran = _backend(lambda weights, kept, x: layer.stateless_call(weights, kept, x, training=training))
        output, (mean, variance) = ran(weights, [self.running_mean, self.running_var], last)
        with torch.no_grad():
            self.running_mean.copy_(mean)  # type: ignore[operator]
            self.running_var.copy_(variance)  # type: ignore[operator]
        return output.movedim(-1, 1)


class _Optimizer:
    """An optimizer that is made with the parameters and takes their gradients where torch leaves them."""

    code: Any

    def __init__(self, params: Any, **settings: Any):
        self.params = list(params)
        betas = dict(zip(("beta_1", "beta_2"), settings.pop("betas", ()), strict=False))
        dtype = calling.dtype_name(self.params[0])
        self.optimizer = _made(self.code, dtype, **naming.keywords(settings, _OF_OPTIMIZERS), **betas)
        self.variables = [keras.Variable(p.detach().double().numpy(), dtype=calling.dtype_name(p)) for p in self.params]
        self.optimizer.build(self.variables)
        rate: Any = keras.ops.convert_to_numpy(self.optimizer.learning_rate)
        self.param_groups = [{"lr": float(rate)}]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for p in self.params:
            p.grad = None

    def step(self) -> None:
        """Move the parameters, each by its gradient."""
        if any(p.grad is None for p in self.params):
            raise NotProvided("it takes a gradient for every parameter")
        self.optimizer.learning_rate = self.param_groups[0]["lr"]
        grads = [keras.ops.convert_to_tensor(p.grad.double().numpy(), calling.dtype_name(p)) for p in self.params]  # type: ignore[union-attr]
        self.optimizer.apply(grads, self.variables)
        with torch.no_grad():
            for p, variable in zip(self.params, self.variables, strict=True):
                p.copy_(torch.tensor(keras.ops.convert_to_numpy(keras.ops.cast(variable.value, "float64"))))


_CLASSES: dict[str, type] = {"recurrent": _Recurrent, "batch_norm": _BatchNorm}


def _optimizer(code: Any) -> type:
    """A class that shows the settings of Keras' own under torch's names."""
    own = {
        theirs: ours
        for ours, theirs in _OF_OPTIMIZERS.items()
        if not (ours == "alpha" and "momentum" not in _known(code))
    }
    shown = [inspect.Parameter("params", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    for name, parameter in _known(code).items():
        if name != "beta_2":
            shown.append(parameter.replace(name="betas" if name == "beta_1" else own.get(name, name)))
    made = naming.derived(_Optimizer, code)
    made.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    return made


def _known(code: Any) -> dict[str, inspect.Parameter]:
    return calling.parameters(code) or {}


def _drawn(code: Any, shape: tuple[int, ...], dtype: str, seed: int, **settings: Any) -> Tensor:
    seeded = {"seed": seed} if "seed" in (_known(code)) else {}
    drawn = code(**settings, **seeded)(shape, dtype)
    return torch.tensor(keras.ops.convert_to_numpy(drawn))
