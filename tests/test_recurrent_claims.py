"""What the claims on recurrent layers rest on: an LSTM of the experiments' own."""

import numpy as np
import torch

from dlcheck.recurrent.remembering import Remembering


def network_and_torch(without=frozenset()):
    """The answers of the experiments' LSTM, and the states of torch's with the same weights, for one seed."""
    network = Remembering(delay=3, forget_bias=1.0, pieces=2, hidden=4, without=without)
    weights = network.weights(6, 2, [7])
    layer = torch.nn.LSTM(3, 4)
    with torch.no_grad():
        layer.weight_ih_l0.copy_(weights[0][0].T)
        layer.weight_hh_l0.copy_(weights[1][0].T)
        layer.bias_ih_l0.copy_(weights[2][0, 0])
        layer.bias_hh_l0.zero_()
    x = torch.randn(1, 5, 6, generator=torch.Generator().manual_seed(0))
    sequence = torch.cat((x[0].reshape(5, 2, 3).transpose(0, 1), torch.zeros(3, 5, 3)))
    states = layer(sequence)[0][-1]
    return network(weights, x)[0].detach(), (states @ weights[3][0] + weights[4][0]).detach()


def test_the_experiments_lstm_is_torchs():
    ours, theirs = network_and_torch()
    assert np.allclose(ours, theirs, rtol=torch.finfo(torch.float32).eps * 100)


def test_a_gate_that_is_held_open_changes_it():
    ours, theirs = network_and_torch(frozenset({"output"}))
    assert not np.allclose(ours, theirs)
