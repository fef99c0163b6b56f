"""What torch itself provides for the layers; what of our padding it lacks, it refuses."""

from dlcheck.component import Counterpart

COUNTERPARTS = (
    Counterpart("linear", "torch.nn.functional:linear"),
    Counterpart("linear", "torch.nn:Linear"),
    Counterpart("conv2d", "torch.nn.functional:conv2d"),
    Counterpart("conv2d", "torch:conv2d"),
    Counterpart("conv2d", "torch.nn:Conv2d"),
)
