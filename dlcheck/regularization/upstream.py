"""What torch itself provides for regularisation."""

from dlcheck.component import Counterpart

COUNTERPARTS: tuple[Counterpart, ...] = (
    Counterpart("dropout", "torch.nn.functional:dropout"),
    Counterpart("dropout", "torch.nn:Dropout"),
    *(
        Counterpart(component, f"torch.nn.utils:{component}_", settings)
        for component in ("clip_grad_norm", "clip_grad_value")
        for settings in ({}, {"foreach": True}, {"foreach": False})
    ),
)
