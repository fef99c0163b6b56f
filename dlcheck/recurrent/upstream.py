"""What torch itself provides for the recurrent layers, and its known deviations."""

from dlcheck.component import Counterpart

_LAYERS = {"rnn": "torch.nn:RNN", "lstm": "torch.nn:LSTM", "gru": "torch.nn:GRU"}
_SETTINGS = ({}, {"batch_first": True})

COUNTERPARTS: tuple[Counterpart, ...] = (
    *(Counterpart(component, target, settings) for component, target in _LAYERS.items() for settings in _SETTINGS),
    Counterpart("rnn", "torch.nn:RNN", {"nonlinearity": "relu"}),
)
