"""The optimizers: what each is, what it is a drop-in for, and on what right implementations differ."""

from collections.abc import Mapping
from typing import Any

from dlcheck.component import Case, Component, Convention, Option, Source, notes

ROUNDINGS_PER_STEP = 12
"""Operations of the longest update rule here, each of which rounds once."""

_SUTSKEVER = Source(
    "Sutskever, Martens, Dahl, Hinton 2013, On the importance of initialization and momentum in deep learning",
    "equations 1 to 4",
    "https://proceedings.mlr.press/v28/sutskever13.html",
)
_ADAM = Source("Kingma, Ba 2015, Adam", "algorithm 1", "https://arxiv.org/abs/1412.6980")
_AMSGRAD = Source(
    "Reddi, Kale, Kumar 2018, On the convergence of Adam and beyond", "algorithm 2", "https://arxiv.org/abs/1904.09237"
)
_ADAMW = Source(
    "Loshchilov, Hutter 2019, Decoupled weight decay regularization", "algorithm 2", "https://arxiv.org/abs/1711.05101"
)


def _roundings(case: Case) -> int:
    """Every step rounds again what the steps before have left."""
    return ROUNDINGS_PER_STEP * max(1, len(case.inputs["steps"]))


def _default(setting: str, *options: tuple[float, tuple[str, ...]]) -> Convention:
    """The default value of a setting as an axis: frameworks disagree, and a caller may leave it out."""

    def option(value: float, followed_by: tuple[str, ...]) -> Option:
        name = f"{value:g}".replace("e-0", "e-")
        return Option(name, f"{setting} is {name} unless given", {setting: value}, followed_by)

    says = f"The value of {setting} where none is given"
    return Convention(f"default_{setting}", says, tuple(option(*each) for each in options))


_VELOCITY = (
    Option("outside", "v = mu v + g; p -= lr v", {"velocity": "outside"}, ("PyTorch", "optax", "TF1", "MLX", "Torch7")),
    Option(
        "inside", "v = mu v + lr g; p -= v", {"velocity": "inside"}, ("Keras", "Caffe", "Lasagne", "Chainer", "MXNet")
    ),
)
_COUPLED = Option(
    "coupled",
    "g + wd p goes through the rule (L2 penalty)",
    {"decoupled_weight_decay": False},
    ("PyTorch", "Caffe", "MXNet"),
)
_DECOUPLED = Option("decoupled", "p -= lr wd p beside the rule", {"decoupled_weight_decay": True}, ("Keras",))
_WEIGHT_DECAY = Convention(
    "weight_decay", "Whether weight decay goes through the update rule", (_COUPLED, _DECOUPLED), (_ADAMW,)
)

_DAMPENING = Convention(
    "dampening",
    "The weight of a new gradient in the velocity",
    (
        Option("undamped_first", "1 at the first step, then 1 - dampening", {"first_step": "undamped"}, ("PyTorch",)),
        Option("damped_first", "1 - dampening from the first step", {"first_step": "damped"}, ("MLX",)),
        Option(
            "average", "as undamped_first, with dampening = momentum unless given", {"dampening": None}, ("Torch7",)
        ),
        Option(
            "average_from_zero",
            "as damped_first, with dampening = momentum unless given",
            {"dampening": None, "first_step": "damped"},
            ("Ng's course",),
        ),
    ),
    (
        Source("pytorch/pytorch#152833", "", "https://github.com/pytorch/pytorch/issues/152833"),
        Source("keras-team/keras#13971", "", "https://github.com/keras-team/keras/issues/13971"),
    ),
)
_NESTEROV_CONVENTIONS = (
    Convention(
        "velocity", "Where the learning rate meets the velocity; shows once it changes", _VELOCITY, (_SUTSKEVER,)
    ),
    _WEIGHT_DECAY,
    _default("lr", (1e-3, ("PyTorch", "Torch7")), (1e-2, ("Keras",))),
)
_SGD_CONVENTIONS = (_NESTEROV_CONVENTIONS[0], _DAMPENING, *_NESTEROV_CONVENTIONS[1:])
_EPSILON_ROOT = (
    Option("outside_sqrt", "g / (sqrt(s) + eps)", {"epsilon": "outside_sqrt"}, ("PyTorch", "MXNet", "MLX", "Torch7")),
    Option(
        "inside_sqrt", "g / sqrt(s + eps), as in the notes", {"epsilon": "inside_sqrt"}, ("Keras", "optax", "Lasagne")
    ),
)
_ADAM_EPSILON = Convention(
    "epsilon",
    "Where eps is added to the root of the second moment",
    (
        Option(
            "outside_sqrt",
            "sqrt(v / (1 - b2^t)) + eps (algorithm 1)",
            {"epsilon": "outside_sqrt"},
            ("PyTorch", "optax", "MLX"),
        ),
        Option(
            "hat",
            "sqrt(v) + eps, then corrected (eps-hat)",
            {"epsilon": "hat"},
            ("Keras", "TF1", "Caffe", "MXNet", "Torch7"),
        ),
        Option(
            "inside_sqrt", "sqrt(v / (1 - b2^t) + eps)", {"epsilon": "inside_sqrt"}, ("optax with eps_root for eps",)
        ),
    ),
    (_ADAM,),
)
_BIAS_CORRECTION = Convention(
    "bias_correction",
    "Whether the averages are divided by 1 - beta^t",
    (
        Option("on", "m / (1 - b1^t), v / (1 - b2^t)", {"bias_correction": True}, ("PyTorch", "Keras", "optax")),
        Option("off", "m, v as they are", {"bias_correction": False}, ("MLX", "BertAdam")),
    ),
    (_ADAM,),
)
_AMSGRAD_MAX = Convention(
    "amsgrad",
    "What AMSGrad takes the maximum of",
    (
        Option("raw", "max of v, corrected afterwards", {"amsgrad_max": "raw"}, ("PyTorch", "Keras", "Chainer")),
        Option("corrected", "max of v / (1 - b2^t)", {"amsgrad_max": "corrected"}, ("optax",)),
        Option("uncorrected", "max of v, no bias correction at all", {"amsgrad_max": "uncorrected"}, ("river",)),
    ),
    (_AMSGRAD,),
)
_STEP_COUNT = Convention(
    "step_count",
    "What t counts, for a parameter that has no gradient in some steps",
    (
        Option("own", "the steps in which the parameter had a gradient", {"step_count": "own"}, ("PyTorch",)),
        Option("shared", "all steps, one count for all parameters", {"step_count": "shared"}, ("Keras", "optax")),
    ),
)
_ADAM_EPS = _default("eps", (1e-8, ("PyTorch", "optax", "MXNet", "MLX")), (1e-7, ("Keras",)))
_ADAMW_DECAY = Convention(
    "weight_decay",
    "What scales the decay, and which weights it shrinks",
    (
        Option(
            "scaled_by_lr",
            "lr wd p of the old weights",
            {"decay_scale": "lr", "decay_order": "old"},
            ("PyTorch", "Keras", "optax", "MLX"),
        ),
        Option(
            "scaled_by_schedule",
            "(lr_t / lr_1) wd p of the old weights",
            {"decay_scale": "schedule"},
            ("the paper", "Chainer"),
        ),
        Option(
            "updated_weights",
            "lr wd p of the weights after Adam's step",
            {"decay_order": "updated"},
            ("transformers' deprecated AdamW",),
        ),
    ),
    (_ADAMW, Source("huggingface/transformers#14539", "", "https://github.com/huggingface/transformers/issues/14539")),
)


def _sgd(name: str, summary: str, formula: str, sources: tuple[Source, ...], **settings: Any) -> Component:
    """Stochastic gradient descent and its two kinds of momentum: one class, one set of settings and conventions."""
    defaults = {
        "lr": 1e-3,
        "momentum": 0.0,
        "dampening": 0.0,
        "weight_decay": 0.0,
        "nesterov": False,
        "maximize": False,
    }
    conventions = _NESTEROV_CONVENTIONS if settings.get("nesterov") else _SGD_CONVENTIONS
    return _component(name, summary, formula, "torch.optim.SGD", sources, {**defaults, **settings}, conventions)


def _component(
    name: str,
    summary: str,
    formula: str,
    model: str,
    sources: tuple[Source, ...],
    settings: Mapping[str, Any],
    conventions: tuple[Convention, ...],
) -> Component:
    return Component(
        name,
        "optimizer",
        summary,
        formula,
        model,
        sources,
        settings=settings,
        conventions=conventions,
        operations=_roundings,
    )


COMPONENTS = (
    _sgd(
        "sgd",
        "Stochastic gradient descent, with momentum on demand.",
        r"v_t = \mu v_{t-1} + (1 - \tau)\, g_t, \quad p_t = p_{t-1} - \eta\, v_t",
        (
            Source(
                "Robbins, Monro 1951, A stochastic approximation method", "", "https://doi.org/10.1214/aoms/1177729586"
            ),
            notes("001, section 8.1"),
        ),
    ),
    _sgd(
        "momentum",
        "Gradient descent with classical (heavy-ball) momentum.",
        r"v_t = \mu v_{t-1} + g_t, \quad p_t = p_{t-1} - \eta\, v_t",
        (
            Source(
                "Polyak 1964, Some methods of speeding up the convergence of iteration methods",
                "",
                "https://doi.org/10.1016/0041-5553(64)90137-5",
            ),
            _SUTSKEVER,
            notes("001, section 8.2"),
        ),
        momentum=0.9,
    ),
    _sgd(
        "nesterov",
        "Gradient descent with Nesterov's momentum, in the form without a gradient at another point.",
        r"v_t = \mu v_{t-1} + g_t, \quad p_t = p_{t-1} - \eta\,(g_t + \mu v_t)",
        (
            _SUTSKEVER,
            Source(
                "Bengio et al. 2012, Advances in optimizing recurrent networks",
                "equations 7 and 8",
                "https://arxiv.org/abs/1212.0901",
            ),
            notes("001, section 8.3"),
        ),
        momentum=0.9,
        nesterov=True,
    ),
    _component(
        "adagrad",
        "Gradient descent with a rate for every parameter that falls with the sum of its squared gradients.",
        r"s_t = s_{t-1} + g_t^2, \quad p_t = p_{t-1} - \frac{\eta}{\sqrt{s_t} + \epsilon}\, g_t",
        "torch.optim.Adagrad",
        (
            Source(
                "Duchi, Hazan, Singer 2011, Adaptive subgradient methods for online learning",
                "figure 1",
                "https://jmlr.org/papers/v12/duchi11a.html",
            ),
            notes("001, section 8.4"),
        ),
        {
            "lr": 1e-2,
            "lr_decay": 0.0,
            "weight_decay": 0.0,
            "initial_accumulator_value": 0.0,
            "eps": 1e-10,
            "maximize": False,
        },
        (
            Convention(
                "epsilon",
                "Where eps is added to the root of the sum of squares",
                (*_EPSILON_ROOT, Option("none", "g / sqrt(s), no step while s is 0", {"epsilon": "none"}, ("TF1",))),
            ),
            _default(
                "initial_accumulator_value",
                (0.0, ("PyTorch", "Caffe", "Lasagne", "MXNet")),
                (0.1, ("Keras", "TF1", "optax")),
            ),
            _WEIGHT_DECAY,
            _default("eps", (1e-10, ("PyTorch", "Torch7")), (1e-7, ("Keras", "optax"))),
            _default("lr", (1e-2, ("PyTorch",)), (1e-3, ("Keras",))),
        ),
    ),
    _component(
        "rmsprop",
        "Gradient descent by the gradient over the root of its running mean square.",
        r"s_t = \alpha s_{t-1} + (1 - \alpha)\, g_t^2, \quad p_t = p_{t-1} - \frac{\eta}{\sqrt{s_t} + \epsilon}\, g_t",
        "torch.optim.RMSprop",
        (
            Source(
                "Hinton 2012, Neural networks for machine learning",
                "lecture 6e",
                "https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf",
            ),
            Source(
                "Graves 2013, Generating sequences with recurrent neural networks",
                "equations 38 to 45",
                "https://arxiv.org/abs/1308.0850",
            ),
            notes("001, section 8.5"),
        ),
        {
            "lr": 1e-2,
            "alpha": 0.99,
            "eps": 1e-8,
            "weight_decay": 0.0,
            "momentum": 0.0,
            "centered": False,
            "maximize": False,
        },
        (
            Convention(
                "epsilon",
                "Where eps is added to the root of the mean square",
                _EPSILON_ROOT,
                (Source("jax-ml/jax#1427", "", "https://github.com/jax-ml/jax/issues/1427"),),
            ),
            Convention(
                "initial",
                "The mean square before the first step",
                (
                    Option(
                        "zero", "s_0 = 0, as in the notes", {"initial": 0.0}, ("PyTorch", "Keras", "optax", "Lasagne")
                    ),
                    Option("one", "s_0 = 1", {"initial": 1.0}, ("TF1", "timm's RMSpropTF")),
                ),
            ),
            Convention(
                "velocity",
                "Where the learning rate meets the velocity; shows once it changes",
                (
                    Option("outside", "b = mu b + d; p -= lr b", {"velocity": "outside"}, ("PyTorch",)),
                    Option("inside", "b = mu b + lr d; p -= b", {"velocity": "inside"}, ("Keras", "TF1", "timm")),
                ),
            ),
            _WEIGHT_DECAY,
            _default("alpha", (0.99, ("PyTorch",)), (0.9, ("Keras", "optax", "Lasagne", "Hinton's lecture"))),
            _default("eps", (1e-8, ("PyTorch", "optax")), (1e-7, ("Keras",))),
            _default("lr", (1e-2, ("PyTorch",)), (1e-3, ("Keras",))),
        ),
    ),
    _component(
        "adadelta",
        "Gradient descent whose step is scaled by the ratio of two running root mean squares.",
        r"d_t = \frac{\sqrt{u_{t-1} + \epsilon}}{\sqrt{s_t + \epsilon}}\, g_t, \quad p_t = p_{t-1} - \eta\, d_t",
        "torch.optim.Adadelta",
        (
            Source(
                "Zeiler 2012, ADADELTA: an adaptive learning rate method",
                "algorithm 1",
                "https://arxiv.org/abs/1212.5701",
            ),
            notes("001, section 8.6"),
        ),
        {"lr": 1.0, "rho": 0.9, "eps": 1e-6, "weight_decay": 0.0, "maximize": False},
        (
            _WEIGHT_DECAY,
            _default("lr", (1.0, ("PyTorch", "Lasagne")), (1e-3, ("Keras",))),
            _default("rho", (0.9, ("PyTorch", "optax")), (0.95, ("Keras", "Lasagne"))),
            _default("eps", (1e-6, ("PyTorch", "optax", "Lasagne")), (1e-7, ("Keras",))),
        ),
    ),
    _component(
        "adam",
        "Gradient descent by the running mean of the gradient over the root of its running mean square.",
        r"p_t = p_{t-1} - \eta\, \frac{m_t / (1 - \beta_1^t)}{\sqrt{v_t / (1 - \beta_2^t)} + \epsilon}",
        "torch.optim.Adam",
        (_ADAM, _AMSGRAD, notes("001, section 8.7")),
        {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0, "amsgrad": False, "maximize": False},
        (
            _ADAM_EPSILON,
            Convention(
                "weight_decay", "Whether weight decay goes through the averages", (_COUPLED, _DECOUPLED), (_ADAMW,)
            ),
            _BIAS_CORRECTION,
            _AMSGRAD_MAX,
            _STEP_COUNT,
            _ADAM_EPS,
        ),
    ),
    _component(
        "adamw",
        "Adam with weight decay beside the averages.",
        r"d_t = \frac{m_t / (1 - \beta_1^t)}{\sqrt{v_t / (1 - \beta_2^t)} + \epsilon}, \quad "
        r"p_t = p_{t-1} - \eta \left( d_t + \lambda p_{t-1} \right)",
        "torch.optim.AdamW",
        (_ADAMW, _ADAM),
        {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 1e-2, "amsgrad": False, "maximize": False},
        (
            _ADAM_EPSILON,
            _ADAMW_DECAY,
            _BIAS_CORRECTION,
            _STEP_COUNT,
            _default("weight_decay", (1e-2, ("PyTorch", "candle")), (4e-3, ("Keras",)), (1e-4, ("optax",))),
            _ADAM_EPS,
        ),
    ),
)
