"""What torch itself provides for the activations, and the deviations of it that we know."""

from dlcheck.component import Counterpart

_MODULES = {
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "relu": "ReLU",
    "leaky_relu": "LeakyReLU",
    "prelu": "PReLU",
    "softmax": "Softmax",
    "log_softmax": "LogSoftmax",
}

COUNTERPARTS = (
    *(Counterpart(component, f"torch.nn.functional:{component}") for component in _MODULES),
    *(Counterpart(component, f"torch.nn:{module}") for component, module in _MODULES.items()),
)
