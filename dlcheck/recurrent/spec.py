"""What the recurrent layers are: their inputs, settings, conventions and sources."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from dlcheck.component import Case, Component, Convention, Option, Source, notes

NOTES = notes("001, section 1.2")
SCHUSTER = Source(
    "Schuster, Paliwal 1997, Bidirectional recurrent neural networks", "section II", "https://doi.org/10.1109/78.650093"
)
GRAVES = Source(
    "Graves, Mohamed, Hinton 2013, Speech recognition with deep recurrent neural networks",
    "equations 3 to 11",
    "https://arxiv.org/abs/1303.5778",
)
HOCHREITER = Source(
    "Hochreiter, Schmidhuber 1997, Long short-term memory", "appendix A.1", "https://doi.org/10.1162/neco.1997.9.8.1735"
)
CHO = Source(
    "Cho et al. 2014, Learning phrase representations using RNN encoder-decoder",
    "equations 5 to 8",
    "https://arxiv.org/abs/1406.1078",
)
CHUNG = Source(
    "Chung, Gulcehre, Cho, Bengio 2014, Empirical evaluation of gated recurrent neural networks",
    "equations 4 to 8",
    "https://arxiv.org/abs/1412.3555",
)
LASAGNE = Source(
    "Lasagne: recurrent layers",
    "lasagne/layers/recurrent.py",
    "https://github.com/Lasagne/Lasagne/blob/master/lasagne/layers/recurrent.py",
)

TIME_AXIS = Convention(
    "time_axis",
    "Which axis of the sequence is time unless told",
    (
        Option("first", "(T, N, F)", {"batch_first": False}, ("PyTorch", "cuDNN", "ONNX", "MXNet")),
        Option("second", "(N, T, F)", {"batch_first": True}, ("Keras", "Flax", "MLX", "Lasagne")),
    ),
)
BIASES = Convention(
    "biases",
    "How many bias vectors each block of weights has",
    (
        Option(
            "two", "one of the input and one of the state", {"biases": "two"}, ("PyTorch", "cuDNN", "ONNX", "MXNet")
        ),
        Option("one", "one, the sum of both", {"biases": "one"}, ("Keras", "TF1", "Lasagne", "Flax")),
    ),
)
PADDED_OUTPUT = Convention(
    "padded_output",
    "What the output holds beyond the length of a sequence",
    (
        Option("zeros", "zeros", {"padded_output": "zeros"}, ("PyTorch's PackedSequence", "ONNX", "tf.nn.dynamic_rnn")),
        Option("repeated", "the last output, again", {"padded_output": "repeated"}, ("Keras masking", "Lasagne")),
    ),
)
DROPPED = Convention(
    "dropped",
    "Where dropout acts in training",
    (
        Option("between", "between layers", {"dropped": "between"}, ("PyTorch", "cuDNN", "MXNet", "candle")),
        Option("outputs", "on the outputs of every layer", {"dropped": "outputs"}, ("TF1 DropoutWrapper",)),
        Option("inputs", "on what every layer reads", {"dropped": "inputs"}, ("Keras",)),
    ),
    (
        Source(
            "Zaremba, Sutskever, Vinyals 2014, Recurrent neural network regularization",
            "section 3.2",
            "https://arxiv.org/abs/1409.2329",
        ),
    ),
)
GATE_ACTIVATION = Convention(
    "gate_activation",
    "The function that opens the gates",
    (
        Option("sigmoid", "logistic", {"gate_activation": "sigmoid"}, ("PyTorch", "Keras since 2", "ONNX", "TF1")),
        Option(
            "hard_sigmoid",
            "clip(0.2 x + 0.5, 0, 1)",
            {"gate_activation": "hard_sigmoid"},
            ("Keras 1", "Theano"),
        ),
        Option("relu6", "min(max(x + 3, 0), 6) / 6", {"gate_activation": "relu6"}, ("Keras 3's hard_sigmoid",)),
    ),
)
FORGET_BIAS = Convention(
    "forget_bias",
    "What is added to the forget gate beside the stored biases",
    (
        Option("stored", "nothing", {"forget_bias": 0.0}, ("PyTorch", "Keras", "Chainer", "Flax", "MLX")),
        Option("plus_one", "a constant 1", {"forget_bias": 1.0}, ("TF1 BasicLSTMCell",)),
    ),
    (
        Source(
            "Jozefowicz, Zaremba, Sutskever 2015, An empirical exploration of recurrent network architectures",
            "section 2.2",
            "https://proceedings.mlr.press/v37/jozefowicz15.html",
        ),
    ),
)
RESET = Convention(
    "reset",
    "Whether the reset gate multiplies the state before the recurrent product or after it",
    (
        Option(
            "after", "tanh(W x + b + r (U h + b'))", {"reset": "after"}, ("PyTorch", "cuDNN", "Keras", "Flax", "MLX")
        ),
        Option(
            "before",
            "tanh(W x + b + U (r h) + b')",
            {"reset": "before"},
            ("Cho et al. 2014", "Keras reset_after=False", "ONNX", "TF1", "Chainer"),
        ),
    ),
    (CHO, Source("pytorch/pytorch#8153", "", "https://github.com/pytorch/pytorch/issues/8153")),
)
UPDATE = Convention(
    "update",
    "Whether the update gate keeps the old state or takes the new one",
    (
        Option(
            "keeps", "z h + (1 - z) n", {"update": "keeps"}, ("Cho et al. 2014", "PyTorch", "Keras", "ONNX", "Flax")
        ),
        Option("takes", "(1 - z) h + z n", {"update": "takes"}, ("Chung et al. 2014", "Chainer", "Lasagne")),
    ),
    (CHO, CHUNG, LASAGNE),
)

SETTINGS: Mapping[str, Any] = {
    "num_layers": 1,
    "bias": True,
    "batch_first": False,
    "dropout": 0.0,
    "bidirectional": False,
}


def sizes(case: Case) -> Mapping[str, Any]:
    """The constructor's sizes, from the shapes of the first layer's weights."""
    parameters = case.inputs["parameters"]
    return {"input_size": parameters["weight_ih_l0"].shape[1], "hidden_size": parameters["weight_hh_l0"].shape[1]}


def roundings(case: Case) -> int:
    """Every step sums over features and state, and rounds again what the steps before have left."""
    steps, batch = case.inputs["x"].shape[:2]
    widest = max(value.shape[-1] for value in case.inputs["parameters"].values() if value.ndim > 1)
    return 8 + widest + 2 * max(steps, batch)


def magnitude(case: Case) -> float:
    """Gates are rounded at the size of 1 and scale the state; gradients are multiplied by x and the state."""
    states = list(case.inputs.get("state", {}).values())
    if case.run != "backward":
        return _largest(np.ones(1), *states)
    return _largest(*case.inputs["grad"].values()) * _largest(np.ones(1), case.inputs["x"], *states)


def _largest(*arrays: Any) -> float:
    return max(float(abs(array).max(initial=0.0)) for array in arrays)


def _layer(name: str, cls: str, summary: str, formula: str, sources: tuple[Source, ...], **others: Any) -> Component:
    return Component(
        name,
        "recurrent",
        summary,
        formula,
        f"torch.nn.{cls}",
        (*sources, SCHUSTER, GRAVES, NOTES),
        **{"settings": SETTINGS, "operations": roundings, "magnitude": magnitude, "construct": sizes, **others},
    )


LAYERS: tuple[Component, ...] = (
    _layer(
        "rnn",
        "RNN",
        "Simple recurrent layers: the state is a squashed affine map of the input and of the state before.",
        r"h_t = \tanh(W_{ih} x_t + b_{ih} + W_{hh} h_{t-1} + b_{hh})",
        (Source("Elman 1990, Finding structure in time", "", "https://doi.org/10.1207/s15516709cog1402_1"),),
        settings={"nonlinearity": "tanh", **SETTINGS},
        conventions=(TIME_AXIS, BIASES, PADDED_OUTPUT, DROPPED),
    ),
    _layer(
        "lstm",
        "LSTM",
        "Long short-term memory: a cell that gates write, keep and read.",
        r"c_t = f_t \odot c_{t-1} + i_t \odot g_t, \quad h_t = o_t \odot \tanh(c_t)",
        (
            HOCHREITER,
            Source(
                "Gers, Schmidhuber, Cummins 2000, Learning to forget",
                "section 3",
                "https://doi.org/10.1162/089976600300015015",
            ),
        ),
        conventions=(FORGET_BIAS, TIME_AXIS, GATE_ACTIVATION, BIASES, PADDED_OUTPUT, DROPPED),
    ),
    _layer(
        "gru",
        "GRU",
        "Gated recurrent units: the state is a gated average of itself and a candidate.",
        r"h_t = z_t \odot h_{t-1} + (1 - z_t) \odot \tanh(W_n x_t + b_n + r_t \odot (U_n h_{t-1} + b'_n))",
        (CHO, CHUNG),
        conventions=(RESET, UPDATE, TIME_AXIS, GATE_ACTIVATION, BIASES, PADDED_OUTPUT, DROPPED),
    ),
)

# --- pyramidal and stack ---


def _pyramid_sizes(case: Case) -> Mapping[str, Any]:
    """The constructor's sizes, from x and the shapes of the weights."""
    held = case.inputs["parameters"]
    levels = sum(name.endswith(".weight_ih_l0") for name in held)
    hidden = held["layers.0.weight_hh_l0"].shape[1]
    return {"input_size": case.inputs["x"].shape[2], "hidden_size": hidden, "num_layers": levels}


def _stack_sizes(case: Case) -> Mapping[str, Any]:
    """The constructor's sizes but for the stack's depth, from the shapes of the weights."""
    hidden, features = case.inputs["parameters"]["U"].shape
    return {"input_size": features, "hidden_size": hidden}


MEMORIES: tuple[Component, ...] = (
    Component(
        "pyramidal_rnn",
        "recurrent",
        "Bidirectional LSTMs, each of which joins neighbouring steps of its input, so that it is half as long.",
        r"h^j_i = \mathrm{BLSTM}(h^j_{i-1}, [h^{j-1}_{2i}, h^{j-1}_{2i+1}])",
        "dlcheck.recurrent.torch.PyramidalRNN",
        (
            Source(
                "Chan, Jaitly, Le, Vinyals 2016, Listen, attend and spell",
                "equation 5",
                "https://arxiv.org/abs/1508.01211",
            ),
            NOTES,
        ),
        conventions=(
            Convention(
                "odd_length",
                "What becomes of steps that have no neighbour",
                (
                    Option("dropped", "a layer drops its odd last step", {"odd_length": "dropped"}),
                    Option(
                        "padded",
                        "zeros are added up to a multiple of 2^layers",
                        {"odd_length": "padded"},
                        ("OpenNMT-tf", "xnmt"),
                    ),
                ),
                (Source("OpenNMT/OpenNMT-tf#176", "", "https://github.com/OpenNMT/OpenNMT-tf/issues/176"),),
            ),
        ),
        operations=roundings,
        magnitude=magnitude,
        construct=_pyramid_sizes,
    ),
    Component(
        "stack_rnn",
        "recurrent",
        "A simple recurrent network whose memory is a stack, moved by soft push, pop and no-op.",
        r"h_t = \sigma(U x_t + R h_{t-1} + P s_{t-1}[0]), \quad a_t = \mathrm{softmax}(A h_t), \quad "
        r"s_t[i] = a_t[0] s_{t-1}[i-1] + a_t[1] s_{t-1}[i+1] + a_t[2] s_{t-1}[i]",
        "dlcheck.recurrent.torch.StackRNN",
        (
            Source(
                "Joulin, Mikolov 2015, Inferring algorithmic patterns with stack-augmented recurrent nets",
                "section 3.2",
                "https://arxiv.org/abs/1503.01007",
            ),
            Source("Stack-RNN", "StackRNN.h", "https://github.com/facebookarchive/Stack-RNN/blob/master/StackRNN.h"),
            NOTES,
        ),
        settings={"stack_depth": None},
        operations=roundings,
        magnitude=magnitude,
        construct=_stack_sizes,
    ),
)

COMPONENTS = (*LAYERS, *MEMORIES)
