"""The known mistakes in activation functions, gradients as autograd gives them: here those of one input."""

from typing import Any

import numpy as np

from dlcheck.activations import reference
from dlcheck.activations.log_softmax_faults import LOG_SOFTMAX
from dlcheck.activations.maxout_faults import MAXOUT
from dlcheck.activations.mistakes import (
    NAN,
    NO_LEARNING,
    OTHER_FUNCTION,
    Array,
    Gradients,
    Replaces,
    Sloped,
    derivative_of_maximum,
    elementwise,
    gradient_in_place,
    gradient_negated,
    in_place,
    upstream_ignored,
    wrong_derivative,
)
from dlcheck.activations.prelu_faults import PRELU
from dlcheck.activations.softmax_faults import SOFTMAX
from dlcheck.component import Fault

MLPACK_DERIVATIVES = "https://github.com/mlpack/mlpack/issues/3478"


# --- sigmoid and tanh ------------------------------------------------------------------------------------------------


def _ratio(x: Array) -> Array:
    return np.exp(x) / (1 + np.exp(x))


def _ratio_derivative(x: Array) -> Array:
    e = np.exp(x)
    return e * (1 / (1 + e) - e / (1 + e) / (1 + e))


def _softsign(x: Array) -> Array:
    return np.where(np.isinf(x), np.sign(x), x / (1 + np.abs(x)))


def _softsign_derivative(x: Array) -> Array:
    return 1 / (1 + np.abs(x)) ** 2


def _sigmoid(id: str, says: str, effect: str, fix: str, replaces: Replaces, *happened: str) -> Fault:
    return Fault(id, "sigmoid", says, effect, fix, replaces, happened)


def _hard(slope: float) -> Replaces:
    return elementwise("sigmoid", lambda x: np.clip(slope * x + 0.5, 0, 1), lambda x: slope * (np.abs(x) < 0.5 / slope))


SIGMOID = (
    _sigmoid(
        "sigmoid-exp-overflow-nan", "exp(x) / (1 + exp(x)) overflows", NAN, "1 / (1 + exp(-x))",
        elementwise("sigmoid", _ratio, _ratio_derivative),
        "https://github.com/clab/dynet/issues/1525", "https://github.com/NervanaSystems/ngraph/pull/3118",
    ),
    _sigmoid(
        "sigmoid-gradient-overflow-nan", "exp(-x) / (1 + exp(-x))^2 overflows", NAN, "s (1 - s)",
        wrong_derivative("sigmoid", lambda x: np.exp(-x) / (1 + np.exp(-x)) ** 2),
        "https://github.com/jeshraghian/snntorch/issues/427", "https://github.com/tracel-ai/burn/issues/1139",
    ),
    _sigmoid(
        "sigmoid-derivative-of-output", "the derivative is taken at the output", NO_LEARNING,
        "s (1 - s) with s = sigmoid(x)",
        wrong_derivative("sigmoid", lambda x: reference.sigmoid_derivative(reference.sigmoid(x))), MLPACK_DERIVATIVES,
    ),
    _sigmoid(
        "sigmoid-derivative-at-input", "x (1 - x) is taken of the input", NO_LEARNING, "s (1 - s) with s = sigmoid(x)",
        wrong_derivative("sigmoid", lambda x: x * (1 - x)), MLPACK_DERIVATIVES,
    ),
    _sigmoid(
        "sigmoid-sign", "the argument's sign is wrong: 1 / (1 + exp(x))", OTHER_FUNCTION, "1 / (1 + exp(-x))",
        elementwise("sigmoid", lambda x: reference.sigmoid(-x), lambda x: -reference.sigmoid_derivative(x)),
    ),
    _sigmoid(
        "sigmoid-sign-overflows", "the exponent's sign is wrong, and exp(x) overflows", OTHER_FUNCTION,
        "1 / (1 + exp(-x)), in the form that does not overflow on either side",
        elementwise("sigmoid", lambda x: 1 / (1 + np.exp(x)), lambda x: -np.exp(x) / (1 + np.exp(x)) ** 2),
    ),
    _sigmoid(
        "sigmoid-tanh-without-half", "(1 + tanh(x)) / 2 lacks the half inside", OTHER_FUNCTION, "(1 + tanh(x / 2)) / 2",
        elementwise("sigmoid", lambda x: reference.sigmoid(2 * x), lambda x: 2 * reference.sigmoid_derivative(2 * x)),
    ),
    _sigmoid(
        "sigmoid-hard-sixth", "it is the hard sigmoid relu6(x + 3) / 6", OTHER_FUNCTION, "1 / (1 + exp(-x))",
        _hard(1 / 6)
    ),
    _sigmoid(
        "sigmoid-hard-fifth", "it is the hard sigmoid clip(x / 5 + 1/2)", OTHER_FUNCTION, "1 / (1 + exp(-x))",
        _hard(0.2)
    ),
    _sigmoid(
        "sigmoid-clipped", "the output is clipped to [1e-7, 1 - 1e-7]", "Confident wrong outputs get no gradient.",
        "1 / (1 + exp(-x)); keep logits for the loss", elementwise(
            "sigmoid", lambda x: np.clip(reference.sigmoid(x), 1e-7, 1 - 1e-7),
            lambda x: reference.sigmoid_derivative(x) * (np.abs(reference.sigmoid(x) - 0.5) <= 0.5 - 1e-7),
        ),
    ),
    *(
        _sigmoid(
            f"sigmoid-input-clipped-{bound}", f"the input is clipped to [-{bound}, {bound}]",
            "Confident wrong outputs get no gradient.", "use exp(-|x|), which does not overflow",
            elementwise(
                "sigmoid", lambda x, most=bound: reference.sigmoid(np.clip(x, -most, most)),
                lambda x, most=bound: reference.sigmoid_derivative(x) * (np.abs(x) <= most),
            ),
        )
        for bound in (10, 15, 20, 30)
    ),
    _sigmoid(
        "sigmoid-where-gradient-nan", "the branch not taken overflows: 0 times inf in the gradient", NAN,
        "take exp(-|x|) before the branches",
        wrong_derivative("sigmoid", lambda x: np.where(
            np.isinf(np.exp(np.abs(x))), np.nan, reference.sigmoid_derivative(x))),
        "https://github.com/tensorflow/tensorflow/issues/2540",
    ),
    _sigmoid(
        "sigmoid-precedence", "1 / 1 + exp(-x) lacks the brackets", OTHER_FUNCTION, "1 / (1 + exp(-x))",
        elementwise("sigmoid", lambda x: 1 + np.exp(-x), lambda x: -np.exp(-x)),
    ),
    _sigmoid(
        "sigmoid-softsign", "it is (1 + x / (1 + |x|)) / 2", OTHER_FUNCTION, "1 / (1 + exp(-x))",
        elementwise("sigmoid", lambda x: (1 + _softsign(x)) / 2, lambda x: _softsign_derivative(x) / 2),
    ),
    gradient_negated("sigmoid"),
    upstream_ignored("sigmoid"),
    in_place("sigmoid"),
)  # fmt: skip


def _tanh_ratio(x: Array) -> Array:
    return (np.exp(2 * x) - 1) / (np.exp(2 * x) + 1)


def _tanh_ratio_derivative(x: Array) -> Array:
    e = np.exp(2 * x)
    return 2 * e * (1 / (e + 1) - (e - 1) / (e + 1) / (e + 1))


def _tanh_pair(x: Array) -> Array:
    return (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x))


def _tanh_pair_derivative(x: Array) -> Array:
    e, i = np.exp(x), np.exp(-x)
    numerator, denominator = 1 / (e + i), -(e - i) / (e + i) / (e + i)
    return numerator * (e + i) + denominator * (e - i)


def _tanh(id: str, says: str, effect: str, fix: str, replaces: Replaces, *happened: str) -> Fault:
    return Fault(id, "tanh", says, effect, fix, replaces, happened)


TANH = (
    _tanh(
        "tanh-exp-ratio-overflow", "(exp(2x) - 1) / (exp(2x) + 1) overflows", NAN, "use exp(-2|x|) and the sign of x",
        elementwise("tanh", _tanh_ratio, _tanh_ratio_derivative),
        "https://github.com/ROCm/triton/pull/900", "https://github.com/karpathy/micrograd/pull/74",
    ),
    _tanh(
        "tanh-exp-pair-overflow", "(e^x - e^-x) / (e^x + e^-x) overflows", NAN, "use exp(-2|x|) and the sign of x",
        elementwise("tanh", _tanh_pair, _tanh_pair_derivative),
    ),
    _tanh(
        "tanh-sigmoid-without-two", "2 sigmoid(x) - 1 lacks the 2 inside", OTHER_FUNCTION, "2 sigmoid(2x) - 1",
        elementwise("tanh", lambda x: 2 * reference.sigmoid(x) - 1, lambda x: 2 * reference.sigmoid_derivative(x)),
    ),
    _tanh(
        "tanh-derivative-of-output", "the derivative is taken at the output", NO_LEARNING, "1 - t^2 with t = tanh(x)",
        wrong_derivative("tanh", lambda x: reference.tanh_derivative(reference.tanh(x))), MLPACK_DERIVATIVES,
    ),
    _tanh(
        "tanh-derivative-at-input", "1 - x^2 is taken of the input", NO_LEARNING, "1 - t^2 with t = tanh(x)",
        wrong_derivative("tanh", lambda x: 1 - x**2), MLPACK_DERIVATIVES,
    ),
    _tanh(
        "tanh-derivative-unsquared", "the derivative is 1 - tanh(x), not squared", NO_LEARNING,
        "1 - t^2 with t = tanh(x)",
        wrong_derivative("tanh", lambda x: 1 - np.tanh(x)),
    ),
    _tanh(
        "tanh-hard", "it is the hard tanh clip(x, -1, 1)", OTHER_FUNCTION, "(e^x - e^-x) / (e^x + e^-x)",
        elementwise("tanh", lambda x: np.clip(x, -1, 1), lambda x: 1.0 * (np.abs(x) < 1)),
    ),
    _tanh(
        "tanh-scaled", "it is the scaled 1.7159 tanh(2x/3)", OTHER_FUNCTION, "tanh(x)",
        elementwise(
            "tanh", lambda x: 1.7159 * np.tanh(x * 2 / 3),
            lambda x: 1.7159 * 2 / 3 * reference.tanh_derivative(x * 2 / 3)
        ),
    ),
    _tanh(
        "tanh-reciprocal-gradient-nan", "exp(2x) overflows in the gradient of 1 - 2 / (exp(2x) + 1)", NAN,
        "use exp(-2|x|) and the sign of x",
        wrong_derivative("tanh", lambda x: 4 * (1 / (np.exp(2 * x) + 1) / (np.exp(2 * x) + 1)) * np.exp(2 * x)),
    ),
    _tanh(
        "tanh-sign", "the exponents' signs are wrong: tanh(-x)", OTHER_FUNCTION, "(e^x - e^-x) / (e^x + e^-x)",
        elementwise("tanh", lambda x: -np.tanh(x), lambda x: -reference.tanh_derivative(x)),
    ),
    *(
        _tanh(f"tanh-derivative-{slug}", f"the derivative is {says}", NO_LEARNING, "1 - t^2 with t = tanh(x)",
              wrong_derivative("tanh", derivative))
        for slug, says, derivative in (
            ("square-of-difference", "(1 - t)^2", lambda x: (1 - np.tanh(x)) ** 2),
            ("sum", "1 + t^2", lambda x: 1 + np.tanh(x) ** 2),
            ("of-sigmoid", "t (1 - t), that of a sigmoid", lambda x: np.tanh(x) * (1 - np.tanh(x))),
        )
    ),
    _tanh(
        "tanh-softsign", "it is softsign x / (1 + |x|)", OTHER_FUNCTION, "(e^x - e^-x) / (e^x + e^-x)",
        elementwise("tanh", _softsign, _softsign_derivative),
    ),
    gradient_negated("tanh"),
    upstream_ignored("tanh"),
    in_place("tanh"),
)  # fmt: skip


# --- rectifiers ------------------------------------------------------------------------------------------------------


def _relu(id: str, says: str, effect: str, fix: str, replaces: Replaces) -> Fault:
    return Fault(id, "relu", says, effect, fix, replaces)


RELU = (
    _relu(
        "relu-gradient-one-everywhere", "the gradient passes where the unit is off", NO_LEARNING, "grad * (x > 0)",
        wrong_derivative("relu", np.ones_like),
    ),
    _relu(
        "relu-masks-upstream", "the sign of the upstream gradient decides", NO_LEARNING, "grad * (x > 0), not grad > 0",
        {"relu_backward": lambda grad_output, x, **_: {"x": np.maximum(grad_output, 0)}},
    ),
    _relu(
        "relu-gradient-by-value", "the gradient is multiplied by the value",
        NO_LEARNING, "grad * (x > 0), not grad * max(x, 0)",
        wrong_derivative("relu", reference.relu),
    ),
    _relu(
        "relu-absolute-value", "it is the absolute value", OTHER_FUNCTION, "max(0, x)",
        elementwise("relu", np.abs, np.sign),
    ),
    _relu(
        "relu-minimum", "min stands in place of max", OTHER_FUNCTION, "max(0, x)",
        {"relu": lambda x, **_: np.minimum(x, 0),
         "relu_backward": lambda grad_output, x, gradient_at_zero=0.0, **_: {
             "x": grad_output * np.where(x == 0, gradient_at_zero, x < 0)}},
    ),
    _relu(
        "relu-clipped-at-six", "it is clipped at 6 (relu6)", "Large activations saturate and get no gradient.",
        "max(0, x)",
        elementwise("relu", lambda x: np.clip(x, 0, 6), lambda x: 1.0 * ((x > 0) & (x < 6))),
    ),
    _relu(
        "relu-leaky", "it leaks: 0.01 x left of zero", OTHER_FUNCTION, "max(0, x)",
        elementwise("relu", reference.leaky_relu, reference.leaky_relu_derivative),
    ),
    _relu(
        "relu-not-halved", "x + |x| is not halved", OTHER_FUNCTION, "(x + |x|) / 2",
        {"relu": lambda x, **_: x + np.abs(x), "relu_backward": lambda grad_output, x, **given: {
            "x": 2 * reference.relu_backward(grad_output, x, **given)["x"]}},
    ),
    _relu(
        "relu-elu", "it is the exponential linear unit", OTHER_FUNCTION, "max(0, x)",
        elementwise("relu", lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
                    lambda x: np.where(x > 0, 1.0, np.exp(np.minimum(x, 0)))),
    ),
    _relu(
        "relu-softplus", "it is softplus log(1 + exp(x))", OTHER_FUNCTION, "max(0, x)",
        elementwise("relu", lambda x: np.logaddexp(0, x), reference.sigmoid),
    ),
    _relu(
        "relu-guided", "negative upstream gradients are cut: guided backpropagation", NO_LEARNING,
        "grad * (x > 0), whatever the sign of grad",
        {"relu_backward": lambda grad_output, x, **given: {
            "x": np.maximum(grad_output, 0) * reference.relu_derivative(x, **given)}},
    ),
    _relu(
        "relu-mask-alone", "the mask is returned, 0 or 1", OTHER_FUNCTION, "x * (x > 0)",
        elementwise("relu", lambda x: 1.0 * (x > 0), np.zeros_like),
    ),
    gradient_in_place("relu"),
    upstream_ignored("relu"),
    in_place("relu"),
)  # fmt: skip


def _leaky(
    id: str, says: str, effect: str, fix: str, function: Sloped, derivative: Sloped, forward: bool = True
) -> Fault:
    """Another function of x and the slope in the place of leaky_relu, or only in that of its derivative."""

    def mistaken(x: Array, negative_slope: float = 0.01) -> Array:
        return function(x, negative_slope)

    def backward(grad_output: Array, x: Array, negative_slope: float = 0.01, **_: Any) -> Gradients:
        return {"x": grad_output * derivative(x, negative_slope)}

    replaces: Replaces = {"leaky_relu_backward": backward}
    return Fault(id, "leaky_relu", says, effect, fix, {"leaky_relu": mistaken, **replaces} if forward else replaces)


LEAKY_RELU = (
    _leaky(
        "leaky-relu-slope-right-of-zero", "the slope is on the side of positive x", OTHER_FUNCTION, "a x where x <= 0",
        lambda x, a: np.where(x > 0, a * x, x), lambda x, a: np.where(x > 0, a, 1.0),
    ),
    _leaky(
        "leaky-relu-maximum", "max(x, a x) is wrong for slopes above 1", OTHER_FUNCTION, "x if x > 0 else a x",
        lambda x, a: np.maximum(x, a * x), derivative_of_maximum,
    ),
    _leaky(
        "leaky-relu-slope-zero-passes", "with slope 0 the gradient left of zero is let through", NO_LEARNING,
        "a grad where x <= 0, also for a = 0", reference.leaky_relu,
        lambda x, a: reference.leaky_relu_derivative(x, a if a else 1.0), forward=False,
    ),
    _leaky(
        "leaky-relu-of-two", "max(x, 0) - max(-a x, 0) is wrong for slopes below 0", OTHER_FUNCTION,
        "x if x > 0 else a x", lambda x, a: reference.leaky_relu(x, a) if a >= 0 else np.where(x > 0, (1 + a) * x, 0.0),
        lambda x, a: reference.leaky_relu_derivative(x, a) if a >= 0 else np.where(x > 0, 1 + a, 0.0),
    ),
    _leaky(
        "leaky-relu-slope-magnitude", "the magnitude of the slope is used", OTHER_FUNCTION, "a x where x <= 0",
        lambda x, a: reference.leaky_relu(x, abs(a)), lambda x, a: reference.leaky_relu_derivative(x, abs(a)),
    ),
    _leaky(
        "leaky-relu-sign", "the slope's sign is wrong: -a x", OTHER_FUNCTION, "a x where x <= 0",
        lambda x, a: np.where(x > 0, x, -a * x), lambda x, a: np.where(x > 0, 1.0, -a),
    ),
    _leaky(
        "leaky-relu-slope-not-multiplied", "left of zero it is the slope itself", OTHER_FUNCTION, "a x, not a",
        lambda x, a: np.where(x > 0, x, a), lambda x, a: 1.0 * (x > 0),
    ),
    _leaky(
        "leaky-relu-slope-ignored", "negative_slope is ignored", OTHER_FUNCTION, "use negative_slope, not 0.01",
        lambda x, a: reference.leaky_relu(x), lambda x, a: reference.leaky_relu_derivative(x),
    ),
    _leaky(
        "leaky-relu-gradient-of-relu", "the gradient left of zero is 0", "Units die as with ReLU.",
        "a * grad where x <= 0",
        reference.leaky_relu, lambda x, a: 1.0 * (x > 0), forward=False,
    ),
    _leaky(
        "leaky-relu-gradient-ignores-slope", "the gradient uses 0.01, not negative_slope", NO_LEARNING,
        "a * grad where x <= 0",
        reference.leaky_relu, lambda x, a: reference.leaky_relu_derivative(x), forward=False,
    ),
    _leaky(
        "leaky-relu-backward-from-output", "the output's sign decides the gradient", "Negative slopes learn wrongly.",
        "a * grad where x <= 0, not where y <= 0",
        reference.leaky_relu, lambda x, a: np.where(reference.leaky_relu(x, a) > 0, 1.0, a), forward=False,
    ),
    _leaky(
        "leaky-relu-on-both-sides", "max(x, 0) + a x leaks right of zero too", OTHER_FUNCTION, "x if x > 0 else a x",
        lambda x, a: np.maximum(x, 0) + a * x, lambda x, a: (x > 0) + a,
    ),
    _leaky(
        "leaky-relu-divided", "left of zero x is divided by the slope", OTHER_FUNCTION, "a x where x <= 0",
        lambda x, a: np.where(x > 0, x, x / np.float64(a)), lambda x, a: np.where(x > 0, 1.0, 1 / np.float64(a)),
    ),
    _leaky(
        "leaky-relu-elu", "left of zero it is a (exp(x) - 1)", OTHER_FUNCTION, "a x where x <= 0",
        lambda x, a: np.where(x > 0, x, a * np.expm1(np.minimum(x, 0))),
        lambda x, a: np.where(x > 0, 1.0, a * np.exp(np.minimum(x, 0))),
    ),
    _leaky(
        "leaky-relu-zero-slope-ignored", "a slope of 0 is taken for none given", OTHER_FUNCTION, "obey a slope of 0",
        lambda x, a: reference.leaky_relu(x, a or 0.01), lambda x, a: reference.leaky_relu_derivative(x, a or 0.01),
    ),
    _leaky(
        "leaky-relu-gradient-by-value", "left of zero the gradient is multiplied by the value", NO_LEARNING,
        "a * grad where x <= 0", reference.leaky_relu, lambda x, a: np.where(x > 0, 1.0, a * x), forward=False,
    ),
    gradient_in_place("leaky_relu"),
    upstream_ignored("leaky_relu"),
    in_place("leaky_relu"),
)  # fmt: skip


FAULTS: tuple[Fault, ...] = (*SIGMOID, *TANH, *RELU, *LEAKY_RELU, *PRELU, *MAXOUT, *SOFTMAX, *LOG_SOFTMAX)
