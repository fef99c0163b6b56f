"""Known mistakes in recurrent layers, each a runnable variation of the reference: in parameters and initial states."""

from collections.abc import Mapping
from typing import Any

from dlcheck.recurrent import adjoints as maps
from dlcheck.recurrent.arrangement_faults import ARRANGEMENT
from dlcheck.recurrent.cell_faults import CELLS
from dlcheck.recurrent.gradient_faults import GRADIENTS
from dlcheck.recurrent.mistakes import (
    ALL,
    BLOCKS,
    GATED,
    LESS,
    OTHER_WEIGHTS,
    RESUMED,
    UNTRAINED,
    faults,
    mapped,
    where,
)
from dlcheck.recurrent.pyramid_faults import PYRAMIDS
from dlcheck.recurrent.stack_faults import STACKS


def _is_one_step(x: Any, state: Any, given: Mapping[str, Any]) -> bool:
    return bool(state) and x.shape[1 if given.get("batch_first") else 0] == 1


def _leaks(given: Any, outputs: Mapping[str, Any]) -> Any:
    return given or {name.replace("_n", "_0"): value for name, value in outputs.items() if name.endswith("_n")}


_PARAMETERS = (
    faults(ALL, "recurrent-weight-transposed", "the recurrent weight is transposed", OTHER_WEIGHTS,
            "h @ weight_hh.T, block by block",
            lambda c: mapped(c, parameters=maps.both_maps(maps.on("weight_hh", maps.transposed)))),
    faults(ALL, "recurrent-bias-missing", "bias_hh is not added", UNTRAINED, "x W_ih^T + b_ih + h W_hh^T + b_hh",
            lambda c: mapped(c, parameters=maps.both_maps(maps.on("bias_hh", maps.zeros)))),
    faults(ALL, "input-bias-missing", "bias_ih is not added", UNTRAINED, "x W_ih^T + b_ih + h W_hh^T + b_hh",
            lambda c: mapped(c, parameters=maps.both_maps(maps.on("bias_ih", maps.zeros)))),
    faults(ALL, "layers-share-weights", "upper layers use the recurrent weights of the first", LESS,
            "weight_hh_l{k}, bias_hh_l{k} for layer k",
            lambda c: mapped(c, parameters=maps.shared_from(0))),
    faults(ALL, "third-layer-shares-weights", "layers above the second use its weights", LESS,
           "weight_ih_l{k}, weight_hh_l{k} for layer k", lambda c: mapped(c, parameters=maps.shared_from(1))),
    faults(ALL, "reverse-uses-forward-weights", "the reverse direction uses the forward weights", LESS,
            "weight_ih_l{k}_reverse for the reverse direction",
            lambda c: mapped(c, parameters=(maps.forward_weights, maps.to_forward_weights))),
    faults("lstm", "gates-ifog", "gates are read in the order i, f, o, g", OTHER_WEIGHTS, "blocks i, f, g, o",
            lambda c: mapped(c, parameters=maps.reordered(0, 1, 3, 2))),
    faults("lstm", "gates-figo", "input and forget gate are exchanged", OTHER_WEIGHTS, "blocks i, f, g, o",
            lambda c: mapped(c, parameters=maps.reordered(1, 0, 2, 3))),
    faults("lstm", "gates-iofg", "gates are read in ONNX's order i, o, f, g", OTHER_WEIGHTS, "blocks i, f, g, o",
            lambda c: mapped(c, parameters=maps.reordered(0, 2, 3, 1))),
    faults("lstm", "gates-igfo", "gates are read in TensorFlow 1's order i, g, f, o", OTHER_WEIGHTS,
            "blocks i, f, g, o", lambda c: mapped(c, parameters=maps.reordered(0, 2, 1, 3))),
    faults("lstm", "gates-fiog", "gates are read in the order f, i, o, g", OTHER_WEIGHTS, "blocks i, f, g, o",
           lambda c: mapped(c, parameters=maps.reordered(1, 0, 3, 2))),
    faults("lstm", "gates-gifo", "gates are read in Chainer's order g, i, f, o", OTHER_WEIGHTS, "blocks i, f, g, o",
           lambda c: mapped(c, parameters=maps.reordered(1, 2, 0, 3))),
    faults("gru", "gates-nrz", "gates are read in the order n, r, z", OTHER_WEIGHTS, "blocks r, z, n",
           lambda c: mapped(c, parameters=maps.reordered(1, 2, 0))),
    faults("gru", "gates-zrn", "gates are read in Keras' order z, r, n", OTHER_WEIGHTS, "blocks r, z, n",
            lambda c: mapped(c, parameters=maps.reordered(1, 0, 2))),
    faults(GATED, "gates-interleaved", "the rows of the weights are read unit by unit", OTHER_WEIGHTS,
            "split the rows into as many blocks as gates",
            lambda c: mapped(c, parameters=maps.interleaved(BLOCKS[c]))),
    faults("lstm", "bias-copy-paste", "input and forget gate add the output gate's bias", UNTRAINED,
            "each gate adds its own block of the bias",
            lambda c: mapped(c, parameters=(maps.on("bias", maps.output_gates_bias),
                                            maps.on("bias", maps.to_output_gates_bias))),
            ("ddbourgin/numpy-ml/issues/42",)),
    # states
    faults(ALL, "initial-state-unused", "the given initial state is ignored", RESUMED,
            "h = h_0 before the first step",
            lambda c: mapped(c, state=maps.both_maps(maps.rows(maps.zeros))),
            ("ruohoruotsi/LSTM-Music-Genre-Classification/issues/12", "jessicayung/blog-code-snippets/issues/3"),
            rnn="rnn-initial-state-unused"),
    faults("lstm", "initial-cell-unused", "c_0 is ignored", RESUMED, "c = c_0 before the first step",
            lambda c: mapped(c, state=maps.both_maps(maps.without_cell))),
    faults("lstm", "initial-hidden-unused", "h_0 is ignored, c_0 is not", RESUMED, "h = h_0 before the first step",
            lambda c: mapped(c, state=maps.both_maps(maps.without_hidden))),
    faults(ALL, "initial-state-of-first-layer", "all layers start from the first layer's state", RESUMED,
            "h_0[k] for layer k",
            lambda c: mapped(c, state=(maps.rows(maps.first_rows), maps.rows(maps.to_first_row)))),
    faults("lstm", "final-states-exchanged", "h_n and c_n are returned in the wrong order", RESUMED,
            "return output, (h_n, c_n)", lambda c: mapped(c, outputs=maps.both_maps(maps.final_exchanged))),
    faults("lstm", "initial-state-exchanged", "h_0 and c_0 are exchanged", RESUMED, "h, c = h_0, c_0",
            lambda c: mapped(c, state=maps.both_maps(maps.exchanged))),
    faults(ALL, "one-step-ignores-state", "the given initial state is ignored by a single step",
           "Decoding step by step forgets all that came before.", "h = h_0 however long the sequence is",
           lambda c: where(c, _is_one_step, mapped(c, state=maps.both_maps(maps.rows(maps.zeros))))),
    faults(ALL, "one-sequence-ignores-state", "a sequence without an axis of sequences ignores its state", RESUMED,
           "h_0 gets the axis too: h_0[:, None]", lambda c: {"state_of_one": maps.rows(maps.zeros)}),
    faults(ALL, "recurrent-bias-missing-with-state", "bias_hh is not added where a state is given", OTHER_WEIGHTS,
           "x W_ih^T + b_ih + h W_hh^T + b_hh", lambda c: where(
               c, lambda x, state, given: bool(state),
               mapped(c, parameters=maps.both_maps(maps.on("bias_hh", maps.zeros))))),
    faults(ALL, "parameters-cached", "it keeps computing with the parameters of its first call",
           "Training changes nothing that the layer computes.", "read the parameters in every call",
           lambda c: {"parameters_now": lambda held, before: before}),
    faults(ALL, "state-leaks", "a call starts from the last state of the call before", RESUMED,
            "start from zeros unless a state is given", lambda c: {"next_state": _leaks}),
)  # fmt: skip

_TABLE = (*_PARAMETERS, *ARRANGEMENT, *CELLS, *GRADIENTS)
_LAYERS = tuple(fault for name in ALL for same_kind in _TABLE for fault in same_kind if fault.component == name)

FAULTS = (*_LAYERS, *PYRAMIDS, *STACKS)
