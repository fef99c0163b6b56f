"""The schedules: what each is, what it is a drop-in for, and on what right implementations differ."""

from collections.abc import Mapping
from typing import Any

from dlcheck.component import Case, Component, Convention, Option, Source, notes

ROUNDINGS_PER_STEP = 12
"""Operations of the longest recursion here, each of which rounds once."""

_TORCH = "torch.optim.lr_scheduler"
_TORCH_DOCS = "https://docs.pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate"
_SGDR = Source(
    "Loshchilov, Hutter 2017, SGDR: stochastic gradient descent with warm restarts",
    "equation 5",
    "https://arxiv.org/abs/1608.03983",
)
_GOYAL = Source(
    "Goyal et al. 2017, Accurate, large minibatch SGD: training ImageNet in 1 hour",
    "section 2.2",
    "https://arxiv.org/abs/1706.02677",
)
_RESNET = Source(
    "He, Zhang, Ren, Sun 2016, Deep residual learning for image recognition",
    "section 3.4",
    "https://arxiv.org/abs/1512.03385",
)
_HINTON = Source(
    "Hinton 2010, A practical guide to training restricted Boltzmann machines",
    "section 9.1",
    "https://www.cs.toronto.edu/~hinton/absps/guideTR.pdf",
)
_NOTES = notes("001, section 8.2")
_KERAS_PLATEAU = Source(
    "Keras: ReduceLROnPlateau",
    "on_epoch_end",
    "https://github.com/keras-team/keras/blob/master/keras/src/callbacks/reduce_lr_on_plateau.py",
)
_OPTAX_PLATEAU = Source(
    "optax: reduce_on_plateau",
    "",
    "https://github.com/google-deepmind/optax/blob/main/optax/contrib/_reduce_on_plateau.py",
)


def _roundings(case: Case) -> int:
    """Every step rounds again what the steps before have left."""
    return ROUNDINGS_PER_STEP * (1 + len(case.inputs["steps"]))


_OUTSIDE_CHANGE = Convention(
    "outside_change",
    "What a step does after somebody else has changed the learning rate",
    (
        Option("continues", "goes on from the current rate", {"outside_change": "continues"}, ("PyTorch",)),
        Option(
            "overwritten",
            "computes the rate from the initial one and the step count",
            {"outside_change": "overwritten"},
            ("optax", "Keras", "PyTorch's LambdaLR"),
        ),
    ),
    (Source("PyTorch: how to adjust learning rate", "chainable schedulers", _TORCH_DOCS),),
)
_BOUNDARY = Convention(
    "boundary",
    "Which step is the first with the rate after a milestone",
    (
        Option("at", "that of the milestone", {"boundary": "at"}, ("PyTorch", "optax")),
        Option("after", "the one after it", {"boundary": "after"}, ("Keras",)),
        Option("before", "the one before it", {"boundary": "before"}, ("timm",)),
    ),
    (
        Source(
            "huggingface/pytorch-image-models#2753",
            "",
            "https://github.com/huggingface/pytorch-image-models/issues/2753",
        ),
    ),
)
_REPEATED = Convention(
    "repeated_milestone",
    "How often a milestone that stands twice counts",
    (
        Option("each", "each time", {"repeated": "each"}, ("PyTorch",)),
        Option("once", "once, as the key of a dictionary", {"repeated": "once"}, ("optax",)),
    ),
)
_FRACTIONAL = Convention(
    "fractional_milestone",
    "What becomes of a milestone between two steps",
    (
        Option("never", "it is looked up and never met", {"fractional": "never"}, ("PyTorch",)),
        Option("reached", "it is reached with the later one", {"fractional": "reached"}, ("Keras", "optax")),
    ),
    (Source("Pointcept/Pointcept#379", "", "https://github.com/Pointcept/Pointcept/issues/379"),),
)
_AFTER_END = Convention(
    "after_end",
    "Where the rate goes after its minimum",
    (
        Option("climbs", "up the cosine again, period 2 T_max", {"after_end": "climbs"}, ("PyTorch", "burn")),
        Option("stays", "nowhere", {"after_end": "stays"}, ("Keras", "optax")),
        Option(
            "restarts",
            "back to the start at T_max; the minimum itself is not reached",
            {"after_end": "restarts"},
            ("PyTorch's CosineAnnealingWarmRestarts", "TF's cosine_decay_restarts"),
        ),
    ),
    (
        _SGDR,
        Source("tracel-ai/burn#5191", "", "https://github.com/tracel-ai/burn/pull/5191"),
        Source("pytorch/pytorch#47560", "", "https://github.com/pytorch/pytorch/issues/47560"),
    ),
)
_MINIMUM = Convention(
    "minimum",
    "What the minimum is measured in",
    (
        Option("absolute", "eta_min is a learning rate", {"minimum": "absolute"}, ("PyTorch",)),
        Option("fraction", "eta_min is a fraction of the initial rate", {"minimum": "fraction"}, ("Keras", "optax")),
    ),
)
_START = Convention(
    "start",
    "The factor on the first update, where no start_factor is given",
    (
        Option("third", "1/3", {"start_factor": 1 / 3}, ("PyTorch",)),
        Option("zero", "0", {"start_factor": 0.0}, ("optax", "transformers")),
        Option(
            "first_step",
            "1/total_iters: the first of so many equal steps is taken at once",
            {"start_factor": None},
            ("GPT-NeoX",),
        ),
    ),
    (
        _GOYAL,
        Source("EleutherAI/gpt-neox#1379", "", "https://github.com/EleutherAI/gpt-neox/pull/1379"),
        Source("google-research/big_transfer#58", "", "https://github.com/google-research/big_transfer/issues/58"),
    ),
)
_PATIENCE = Convention(
    "patience",
    "How many metrics without improvement end the patience",
    (
        Option("exceeded", "more than patience", {"patience_ends": "exceeded"}, ("PyTorch",)),
        Option("reached", "as many as patience, at least one", {"patience_ends": "reached"}, ("Keras", "optax")),
    ),
    (Source("pytorch/pytorch#2545", "", "https://github.com/pytorch/pytorch/issues/2545"), _KERAS_PLATEAU),
)
_THRESHOLD = Convention(
    "threshold",
    "What the threshold of improvement is relative to, where no threshold_mode is given",
    (
        Option("relative", "the best metric", {"threshold_mode": "rel"}, ("PyTorch", "optax")),
        Option("absolute", "nothing", {"threshold_mode": "abs"}, ("Keras",)),
    ),
    (_KERAS_PLATEAU, _OPTAX_PLATEAU),
)
_COOLDOWN = Convention(
    "cooldown",
    "Whether the last step of a cooldown counts",
    (
        Option("after", "no, counting begins after it", {"cooldown_ends": "after"}, ("PyTorch", "optax")),
        Option("within", "yes, counting begins with it", {"cooldown_ends": "within"}, ("Keras",)),
    ),
    (_KERAS_PLATEAU, _OPTAX_PLATEAU),
)
_LEAST_CHANGE = Convention(
    "default_eps",
    "The reduction that is too small to be made, where none is given",
    (
        Option("1e-8", "one of at most 1e-8", {"eps": 1e-8}, ("PyTorch",)),
        Option("0", "none", {"eps": 0.0}, ("Keras", "optax")),
    ),
)
_RISE = Convention(
    "rise",
    "How momentum gets from its first value to its last",
    (
        Option("jump", "at once, after warmup_steps", {"rise": "jump"}, ("Hinton 2010",)),
        Option("linear", "by equal amounts over warmup_steps", {"rise": "linear"}, ("Ultralytics YOLO",)),
    ),
    (_HINTON,),
)


def _schedule(
    name: str,
    summary: str,
    formula: str,
    model: str,
    sources: tuple[Source, ...],
    settings: Mapping[str, Any],
    *conventions: Convention,
    quantity: str = "lr",
) -> Component:
    return Component(
        name,
        "schedule",
        summary,
        formula,
        model,
        sources,
        inputs=(quantity,),
        settings=settings,
        conventions=conventions,
        operations=_roundings,
    )


COMPONENTS = (
    _schedule(
        "step_lr",
        "The learning rate is multiplied by gamma every step_size steps.",
        r"\eta_t = \eta_0 \gamma^{\lfloor t / s \rfloor}",
        f"{_TORCH}.StepLR",
        (Source("PyTorch: StepLR", "", "https://docs.pytorch.org/docs/stable/optim.html"),),
        {"step_size": None, "gamma": 0.1},
        _OUTSIDE_CHANGE,
    ),
    _schedule(
        "multistep_lr",
        "The learning rate is multiplied by gamma at each milestone.",
        r"\eta_t = \eta_0 \gamma^{\#\{m \le t\}}",
        f"{_TORCH}.MultiStepLR",
        (_RESNET,),
        {"milestones": None, "gamma": 0.1},
        _OUTSIDE_CHANGE,
        _BOUNDARY,
        _REPEATED,
        _FRACTIONAL,
    ),
    _schedule(
        "exponential_lr",
        "The learning rate is multiplied by gamma at every step.",
        r"\eta_t = \eta_0 \gamma^t",
        f"{_TORCH}.ExponentialLR",
        (Source("PyTorch: ExponentialLR", "", "https://docs.pytorch.org/docs/stable/optim.html"),),
        {"gamma": None},
        _OUTSIDE_CHANGE,
    ),
    _schedule(
        "cosine_annealing_lr",
        "The learning rate falls along half a cosine to its minimum.",
        r"\eta_t = \eta_{min} + \frac{1}{2} (\eta_0 - \eta_{min}) (1 + \cos \frac{\pi t}{T})",
        f"{_TORCH}.CosineAnnealingLR",
        (_SGDR,),
        {"T_max": None, "eta_min": 0.0},
        _OUTSIDE_CHANGE,
        _AFTER_END,
        _MINIMUM,
    ),
    _schedule(
        "linear_warmup_lr",
        "The learning rate rises linearly to its full size over the first steps.",
        r"\eta_t = \eta_0 (a + (b - a) \min(t, T) / T)",
        f"{_TORCH}.LinearLR",
        (_GOYAL,),
        {"start_factor": 1 / 3, "end_factor": 1.0, "total_iters": 5},
        _OUTSIDE_CHANGE,
        _START,
    ),
    _schedule(
        "momentum_schedule",
        "Momentum starts at 0.5, while gradients are large, and is raised to its own value of 0.9, say.",
        r"\rho_t = \rho_0 \;(t < T), \quad \rho \;(t \ge T)",
        "dlcheck.schedules.torch.MomentumSchedule",
        (_NOTES, _HINTON),
        {"warmup_steps": None, "initial": 0.5},
        _RISE,
        quantity="momentum",
    ),
    _schedule(
        "reduce_on_plateau",
        "The learning rate is multiplied by a factor when a metric stops improving.",
        r"\eta \leftarrow \max(\gamma \eta, \eta_{min})",
        f"{_TORCH}.ReduceLROnPlateau",
        (_KERAS_PLATEAU, _OPTAX_PLATEAU),
        {
            "mode": "min",
            "factor": 0.1,
            "patience": 10,
            "threshold": 1e-4,
            "threshold_mode": "rel",
            "cooldown": 0,
            "min_lr": 0.0,
            "eps": 1e-8,
        },
        _PATIENCE,
        _THRESHOLD,
        _COOLDOWN,
        _LEAST_CHANGE,
    ),
)
