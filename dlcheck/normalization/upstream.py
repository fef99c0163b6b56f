"""What torch itself provides for these components, and the deviations of it that we know."""

from dlcheck.component import Counterpart

COUNTERPARTS = (
    Counterpart("batch_norm", "torch.nn:BatchNorm1d"),
    Counterpart("batch_norm", "torch.nn:BatchNorm2d"),
    Counterpart("batch_norm", "torch.nn:BatchNorm2d", {"affine": False}),
    Counterpart("batch_norm", "torch.nn.functional:batch_norm"),
    Counterpart("local_response_norm", "torch.nn.functional:local_response_norm"),
    Counterpart("local_response_norm", "torch.nn:LocalResponseNorm"),
)
