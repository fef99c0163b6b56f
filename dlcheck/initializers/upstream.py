"""What torch itself provides for the initializers, and the deviations of it that we know."""

from dlcheck.component import Counterpart
from dlcheck.initializers.spec import COMPONENTS

COUNTERPARTS = tuple(
    Counterpart(component.name, f"torch.nn.init:{component.name}")
    for component in COMPONENTS
    if component.model == f"torch.nn.init.{component.name}"
)
