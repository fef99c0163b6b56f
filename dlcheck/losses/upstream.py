"""What torch itself provides for the losses."""

from dlcheck.component import Counterpart

_SHAPES = "losses.hinge_loss.shapes"
_NO_EXAMPLE = "without an example, sum and mean return memory that was never set: often 0, any number else"

COUNTERPARTS: tuple[Counterpart, ...] = (
    Counterpart("mse_loss", "torch.nn.functional:mse_loss"),
    Counterpart("mse_loss", "torch.nn:MSELoss"),
    Counterpart("l1_loss", "torch.nn.functional:l1_loss"),
    Counterpart("l1_loss", "torch.nn:L1Loss"),
    Counterpart("huber_loss", "torch.nn.functional:huber_loss"),
    Counterpart("huber_loss", "torch.nn:HuberLoss"),
    Counterpart("huber_loss", "torch.nn.functional:smooth_l1_loss"),
    Counterpart("binary_cross_entropy_with_logits", "torch.nn.functional:binary_cross_entropy_with_logits"),
    Counterpart("binary_cross_entropy_with_logits", "torch.nn:BCEWithLogitsLoss"),
    Counterpart("cross_entropy", "torch.nn.functional:cross_entropy"),
    Counterpart("cross_entropy", "torch.nn:CrossEntropyLoss"),
    Counterpart("nll_loss", "torch.nn.functional:nll_loss"),
    Counterpart("nll_loss", "torch.nn:NLLLoss"),
    Counterpart("kl_div", "torch.nn.functional:kl_div"),
    Counterpart("kl_div", "torch.nn:KLDivLoss"),
    *(
        Counterpart("hinge_loss", target, known={_SHAPES: _NO_EXAMPLE}, varying=(_SHAPES,))
        for target in ("torch.nn.functional:multi_margin_loss", "torch.nn:MultiMarginLoss")
    ),
)
