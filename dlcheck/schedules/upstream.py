"""What torch itself provides for the schedules, and the deviation of it that we know."""

from dlcheck.component import Counterpart

_SIGNED_MARGIN = (
    "the threshold is relative to the signed best metric, best * (1 - threshold): below zero an equal metric, or one "
    "that is worse by less than the threshold, counts as an improvement, and the rate is not reduced "
    "(pytorch/pytorch#47513)"
)

COUNTERPARTS = (
    Counterpart("step_lr", "torch.optim.lr_scheduler:StepLR"),
    Counterpart("multistep_lr", "torch.optim.lr_scheduler:MultiStepLR"),
    Counterpart("exponential_lr", "torch.optim.lr_scheduler:ExponentialLR"),
    Counterpart("cosine_annealing_lr", "torch.optim.lr_scheduler:CosineAnnealingLR"),
    Counterpart("linear_warmup_lr", "torch.optim.lr_scheduler:LinearLR"),
    Counterpart(
        "reduce_on_plateau",
        "torch.optim.lr_scheduler:ReduceLROnPlateau",
        known={"schedules.reduce_on_plateau.negative_metrics": _SIGNED_MARGIN},
    ),
)
