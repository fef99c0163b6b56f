"""What libraries other than torch have for the components, and the deviations of it that we know.

What is listed follows the conventions named here, among others. A target of onnxruntime is an operator of ONNX.
"""

from collections.abc import Mapping
from typing import Any

from dlcheck.component import Counterpart

_MOMENTUM = {"momentum": 0.9}
_NESTEROV = {"momentum": 0.9, "nesterov": True}
_NOTHING: Mapping[str, Any] = {}


def _peer(
    component: str,
    target: str,
    settings: Mapping[str, Any] = _NOTHING,
    known: Mapping[str, str] = _NOTHING,
    /,
    **follows: str,
) -> Counterpart:
    return Counterpart(component, target, settings, known, follows=follows)


_OPTAX = (
    _peer("sgd", "optax:sgd"),
    _peer("momentum", "optax:sgd", _MOMENTUM),
    _peer("nesterov", "optax:sgd", _NESTEROV),
    _peer(
        "adagrad", "optax:adagrad", epsilon="inside_sqrt", default_initial_accumulator_value="0.1", default_eps="1e-7"
    ),
    _peer("rmsprop", "optax:rmsprop", epsilon="inside_sqrt", initial="zero", default_alpha="0.9"),
    _peer("rmsprop", "optax:rmsprop", {"eps_in_sqrt": False}, epsilon="outside_sqrt"),
    _peer("adadelta", "optax:adadelta", weight_decay="coupled", default_lr="1", default_rho="0.9"),
    _peer("adam", "optax:adam", epsilon="outside_sqrt", bias_correction="on", default_eps="1e-8"),
    _peer("adamw", "optax:adamw", weight_decay="scaled_by_lr", default_weight_decay="0.0001"),
    _peer("mse_loss", "optax.losses:squared_error", scale="none"),
    _peer("huber_loss", "optax.losses:huber_loss", default_reduction="none", scaling="delta"),
    _peer("binary_cross_entropy_with_logits", "optax.losses:sigmoid_binary_cross_entropy", default_reduction="none"),
    _peer("cross_entropy", "optax.losses:softmax_cross_entropy", default_reduction="none"),
    _peer("cross_entropy", "optax.losses:softmax_cross_entropy_with_integer_labels", default_reduction="none"),
    _peer("kl_div", "optax.losses:kl_divergence", default_reduction="classes"),
)

_JAX = (
    _peer("sigmoid", "jax.nn:sigmoid"),
    _peer("tanh", "jax.numpy:tanh"),
    _peer("relu", "jax.nn:relu", gradient_at_zero="0", nan="propagates"),
    _peer("leaky_relu", "jax.nn:leaky_relu", default_slope="0.01", gradient_at_zero="one"),
    _peer("softmax", "jax.nn:softmax", default_axis="last"),
    _peer("log_softmax", "jax.nn:log_softmax", default_axis="last"),
    _peer("constant_", "jax.nn.initializers:constant"),
    _peer("normal_", "jax.nn.initializers:normal", default_scale="0.01"),
    _peer("trunc_normal_", "jax.nn.initializers:truncated_normal", default_scale="0.01", bounds="deviations"),
    _peer("xavier_uniform_", "jax.nn.initializers:glorot_uniform", fan="average"),
    _peer("kaiming_uniform_", "jax.nn.initializers:he_uniform", fan="fan_in", gain="relu"),
    _peer("orthogonal_", "jax.nn.initializers:orthogonal"),
)

_PADDED_BY_STRIDE = "with use_ceil it pads by one stride more, and raises where that is wider than the window"
_OVERHANG = "with use_ceil it divides by the whole window, what overhangs the padding included"


_CEIL_MODE = ("pooling.avg_pool2d.ceil_mode", "pooling.avg_pool2d.ceil_mode_padding")


_EQUINOX = (
    _peer("linear", "equinox.nn:Linear"),
    _peer("conv2d", "equinox.nn:Conv2d"),
    _peer(
        "max_pool2d",
        "equinox.nn:MaxPool2d",
        {},
        {"pooling.max_pool2d.ceil_mode_padding": _PADDED_BY_STRIDE},
        ties="first",
    ),
    _peer("avg_pool2d", "equinox.nn:AvgPool2d", {}, dict.fromkeys(_CEIL_MODE, _OVERHANG), default_divisor="counted"),
)

_FLAX = (
    _peer("linear", "flax.linen:Dense"),
    _peer("conv2d", "flax.linen:Conv"),
    _peer("max_pool2d", "flax.linen:max_pool"),
    _peer("avg_pool2d", "flax.linen:avg_pool"),
)

_LAYOUT = {"layout": "keras"}
_OF_KERAS_RECURRENT = {"time_axis": "second", "biases": "one", "padded_output": "repeated"}
_OF_KERAS_BATCH_NORM = {
    "momentum": "old_0.99",
    "running_variance": "biased",
    "default_eps": "1e-3",
    "one_value": "bias",
}
_CORRECTION = (
    "1 - beta_2^t is worked out in float32, where beta_2 = 0.999 leaves five digits of it: the first step is 6.7e-6 of "
    "itself too short, and the second is off by about as much"
)
_NO_STEP = (
    "1 - beta_2^t is worked out in the parameter's dtype: 0 in bfloat16, which rounds beta_2 = 0.999 to 1, so that no "
    "step is taken (keras-team/keras-hub#2629)"
)
_CLIPPED = "it limits both distributions to [1e-7, 1]: a log-probability below -16.1 counts as -16.1"
_UNREDUCED = "losses of no example are returned unreduced, in shape (0,)"
_FOUR_DRAWS = (
    "on torch it takes the first of four draws that lies within the bounds, so that 4 in a million lie outside"
)
_LAWS = tuple(f"initializers.trunc_normal_.{check}" for check in ("law", "std", "mean", "shapes"))


def _adam(component: str, name: str, **follows: str) -> Counterpart:
    known = {
        **{f"optimizers.{component}.{check}": _CORRECTION for check in ("first_step", "several_parameters")},
        f"optimizers.{component}.half": _NO_STEP,
    }
    return _peer(component, f"keras.optimizers:{name}", {}, known, epsilon="hat", default_eps="1e-7", **follows)


_KERAS = (
    _peer("sigmoid", "keras.activations:sigmoid"),
    _peer("tanh", "keras.activations:tanh"),
    _peer("relu", "keras.activations:relu", gradient_at_zero="0", nan="propagates"),
    _peer("leaky_relu", "keras.activations:leaky_relu", default_slope="0.2", gradient_at_zero="slope"),
    _peer("softmax", "keras.activations:softmax", default_axis="last"),
    _peer("log_softmax", "keras.activations:log_softmax", default_axis="last"),
    _peer("prelu", "keras.layers:PReLU"),
    _peer("linear", "keras.layers:Dense"),
    _peer("conv2d", "keras.layers:Conv2D", kernel="cross_correlation", same_padding="end"),
    _peer("max_pool2d", "keras.layers:MaxPooling2D", ties="first", nan="propagates"),
    _peer("avg_pool2d", "keras.layers:AveragePooling2D", default_rounding="floor"),
    _peer("global_avg_pool2d", "keras.layers:GlobalAveragePooling2D", spatial_axes="dropped"),
    _peer("batch_norm", "keras.layers:BatchNormalization", **_OF_KERAS_BATCH_NORM),
    _peer("rnn", "keras.layers:SimpleRNN", _LAYOUT, **_OF_KERAS_RECURRENT),
    _peer("lstm", "keras.layers:LSTM", _LAYOUT, **_OF_KERAS_RECURRENT),
    _peer("gru", "keras.layers:GRU", _LAYOUT, reset="after", update="keeps", biases="two"),
    _peer("mse_loss", "keras.losses:MeanSquaredError", scale="mean"),
    _peer("l1_loss", "keras.losses:MeanAbsoluteError", gradient_at_zero="0"),
    _peer("huber_loss", "keras.losses:Huber", default_reduction="mean"),
    _peer("binary_cross_entropy_with_logits", "keras.losses:BinaryCrossentropy", default_reduction="mean"),
    _peer("cross_entropy", "keras.losses:CategoricalCrossentropy", default_reduction="mean"),
    _peer(
        "cross_entropy",
        "keras.losses:SparseCategoricalCrossentropy",
        {},
        {"losses.cross_entropy.shapes": _UNREDUCED},
        default_reduction="mean",
    ),
    _peer("kl_div", "keras.losses:KLDivergence", {}, {"losses.kl_div.extremes": _CLIPPED}),
    _peer("normal_", "keras.initializers:RandomNormal", default_scale="0.05"),
    _peer("uniform_", "keras.initializers:RandomUniform", default_scale="0.05"),
    Counterpart(
        "trunc_normal_",
        "keras.initializers:TruncatedNormal",
        known=dict.fromkeys(_LAWS, _FOUR_DRAWS),
        varying=_LAWS,
        follows={"default_scale": "0.05"},
    ),
    _peer("xavier_uniform_", "keras.initializers:GlorotUniform", fan="average"),
    _peer("kaiming_uniform_", "keras.initializers:HeUniform"),
    _peer("orthogonal_", "keras.initializers:Orthogonal", route="qr"),
    _peer("sgd", "keras.optimizers:SGD", velocity="inside", weight_decay="decoupled", default_lr="0.01"),
    _peer("nesterov", "keras.optimizers:SGD", _NESTEROV, velocity="inside"),
    _peer("adagrad", "keras.optimizers:Adagrad", epsilon="inside_sqrt", default_initial_accumulator_value="0.1"),
    _peer("rmsprop", "keras.optimizers:RMSprop", epsilon="inside_sqrt", velocity="inside", default_alpha="0.9"),
    _peer("adadelta", "keras.optimizers:Adadelta", default_rho="0.95", default_eps="1e-7"),
    _adam("adam", "Adam", bias_correction="on"),
    _adam("adamw", "AdamW", weight_decay="scaled_by_lr", default_weight_decay="0.004"),
)

_ONNX = (
    _peer("sigmoid", "onnxruntime:Sigmoid"),
    _peer("tanh", "onnxruntime:Tanh"),
    _peer("relu", "onnxruntime:Relu", nan="propagates"),
    _peer("leaky_relu", "onnxruntime:LeakyRelu", default_slope="0.01"),
    _peer(
        "prelu",
        "onnxruntime:PRelu",
        {},
        {"activations.prelu.channels": "ONNX lays the slopes along the last axis, as it broadcasts, not the channels'"},
    ),
    _peer("softmax", "onnxruntime:Softmax", default_axis="last"),
    _peer("log_softmax", "onnxruntime:LogSoftmax", default_axis="last"),
    _peer(
        "linear",
        "onnxruntime:Gemm",
        {},
        {"layers.linear.extra_axes": "ONNX multiplies matrices: one example without the batch's axis becomes a batch"},
    ),
    _peer("conv2d", "onnxruntime:Conv", kernel="cross_correlation"),
    _peer(
        "max_pool2d",
        "onnxruntime:MaxPool",
        {},
        {"pooling.max_pool2d.nan": "a NaN counts in some places of its window and is passed over in others"},
    ),
    _peer("avg_pool2d", "onnxruntime:AveragePool", default_rounding="floor"),
    _peer("global_avg_pool2d", "onnxruntime:GlobalAveragePool", spatial_axes="kept"),
)

PEERS = (*_EQUINOX, *_FLAX, *_JAX, *_KERAS, *_ONNX, *_OPTAX)
