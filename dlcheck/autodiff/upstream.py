"""What torch itself provides for these components, and the deviations of it that we know."""

from dlcheck.component import Counterpart

COUNTERPARTS = (
    Counterpart("vjp", "torch.func:vjp"),
    Counterpart("vjp", "torch.autograd.functional:vjp"),
    Counterpart("jacobian", "torch.func:jacrev"),
    Counterpart("jacobian", "torch.func:jacfwd"),
    Counterpart("jacobian", "torch.autograd.functional:jacobian"),
)
