"""The known mistakes in losses, gradients as autograd gives them, in the order of the components."""

from dlcheck.component import Fault
from dlcheck.losses.binary_faults import BCE
from dlcheck.losses.class_faults import CLASSES
from dlcheck.losses.margin_faults import MARGINS
from dlcheck.losses.regression_faults import REGRESSION

FAULTS: tuple[Fault, ...] = (*REGRESSION, *BCE, *CLASSES, *MARGINS)
