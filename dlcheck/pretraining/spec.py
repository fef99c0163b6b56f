"""What the components of unsupervised pretraining are: their inputs, conventions and sources."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from dlcheck.component import Case, Component, Convention, Option, Source, notes

NOTES = notes("004, Parameters Initialization")
VINCENT = Source(
    "Vincent, Larochelle, Lajoie, Bengio, Manzagol: Stacked denoising autoencoders",
    "JMLR 2010, section 2.1, equations 1 to 3",
    "https://www.jmlr.org/papers/v11/vincent10a.html",
)
GUIDE = Source(
    "Hinton: A practical guide to training restricted Boltzmann machines",
    "2010, sections 2 and 3, equation 25",
    "https://www.cs.toronto.edu/~hinton/absps/guideTR.pdf",
)
CD = Source(
    "Hinton: Training products of experts by minimizing contrastive divergence",
    "Neural Computation 2002, section 4",
    "https://doi.org/10.1162/089976602760128018",
)
BENGIO = Source(
    "Bengio: Learning deep architectures for AI",
    "2009, algorithm 1",
    "https://doi.org/10.1561/2200000006",
)
SALAKHUTDINOV = Source(
    "Salakhutdinov, Murray: On the quantitative analysis of deep belief networks",
    "ICML 2008, section 2",
    "https://doi.org/10.1145/1390156.1390266",
)
FAST = Source(
    "Hinton, Osindero, Teh: A fast learning algorithm for deep belief nets",
    "Neural Computation 2006, section 5, figure 5",
    "https://doi.org/10.1162/neco.2006.18.7.1527",
)
DL4J = Source(
    "deeplearning4j: gradient of the RBM", "issue 3057", "https://github.com/deeplearning4j/deeplearning4j/issues/3057"
)
YUSUGOMORI = Source("yusugomori/DeepLearning: RBM", "issue 22", "https://github.com/yusugomori/DeepLearning/issues/22")

RECONSTRUCTION = Convention(
    "reconstruction",
    "visible units at the end of the chain",
    (
        Option("sampled", "their sample", {"reconstruction": "sampled"}, ("Hinton 2002", "Bengio 2009, algorithm 1")),
        Option(
            "probabilities",
            "their probabilities",
            {"reconstruction": "probabilities"},
            ("Hinton 2010, section 3.2", "deeplearning4j"),
        ),
        Option(
            "probabilities_throughout",
            "their probabilities, from which the chain goes on",
            {"reconstruction": "probabilities_throughout"},
            ("Hinton 2010, section 3.2, with more than one step",),
        ),
    ),
    (GUIDE, BENGIO, DL4J),
)
POSITIVE = Convention(
    "positive_statistics",
    "hidden units that the data's statistics take",
    (
        Option(
            "probabilities", "their probabilities", {"positive": "probabilities"}, ("Hinton 2010", "deeplearning4j")
        ),
        Option("sampled", "the first hidden sample", {"positive": "sampled"}, ("Bengio 2009, algorithm 1",)),
    ),
    (GUIDE, BENGIO, DL4J),
)
BATCH = Convention(
    "batch",
    "what becomes of the examples",
    (
        Option("mean", "their mean", {"batch": "mean"}, ("Hinton 2010, section 4",)),
        Option("sum", "their sum", {"batch": "sum"}, ("code that divides the learning rate instead",)),
    ),
    (GUIDE, YUSUGOMORI),
)
OUTPUT = Convention(
    "output",
    "visible units that are drawn",
    (
        Option("sampled", "their sample", {"output": "sampled"}, ("Hinton 2006, section 5",)),
        Option("probabilities", "their probabilities", {"output": "probabilities"}, ("Hinton 2006, figure 8",)),
    ),
    (FAST,),
)

MACHINE = ("weight", "visible_bias", "hidden_bias")


def _products(case: Case) -> int:
    """Roundings of two matrix products in a row, and of the sums over examples."""
    return 16 + 2 * sum(max(np.shape(value), default=1) for value in case.inputs.values())


def _chain(case: Case) -> int:
    return 16 + 2 * max(max(np.shape(value), default=1) for value in case.inputs.values())


def _one(case: Case) -> float:
    """Formulas with sigmoids round at the size of 1, or of what arrives from above."""
    return float(np.abs(case.inputs["grad_output"]).max(initial=0.0)) if case.run == "backward" else 1.0


def _energies(case: Case) -> float:
    """A likelihood is a difference of energies, and its gradient their exponential: both round at their size."""
    return _one(case) * max(1.0, sum(float(np.abs(case.inputs[name]).sum()) for name in MACHINE))


def _sizes(case: Case) -> Mapping[str, Any]:
    hidden, visible = case.inputs["weight"].shape
    return {"visible": visible, "hidden": hidden}


def _coder_sizes(case: Case) -> Mapping[str, Any]:
    hidden, visible = case.inputs["weight"].shape
    return {"in_features": visible, "hidden_features": hidden, "tied": "decoder_weight" not in case.inputs}


COMPONENTS: tuple[Component, ...] = (
    Component(
        "autoencoder",
        "function",
        "Reconstruction of the input from a hidden code, with tied or untied weights",
        r"\sigma(V \sigma(W x + b) + c), \quad V = W^T \text{ where tied}",
        "f(x[N,D], weight[H,D], bias[H], decoder_bias[D], decoder_weight[D,H]=None, linear_output=False) -> [N,D]",
        (NOTES, VINCENT),
        inputs=("x", "weight", "bias", "decoder_bias"),
        optional=("decoder_weight",),
        parameters=("weight", "bias", "decoder_bias", "decoder_weight"),
        settings={"linear_output": False},
        operations=_products,
        magnitude=_one,
        construct=_coder_sizes,
    ),
    Component(
        "rbm_free_energy",
        "function",
        "Free energy of the visible units of a restricted Boltzmann machine",
        r"-b \cdot v - \sum_j \log\left(1 + e^{c_j + W_j \cdot v}\right)",
        "f(v[N,D], weight[H,D], visible_bias[D], hidden_bias[H]) -> [N]",
        (NOTES, GUIDE),
        inputs=("v", *MACHINE),
        parameters=MACHINE,
        operations=_products,
        magnitude=_one,
        construct=_sizes,
    ),
    Component(
        "rbm_log_likelihood",
        "function",
        "Exact log-probability of the visible units of a small restricted Boltzmann machine",
        r"-F(v) - \log \sum_{v'} e^{-F(v')}",
        "f(v[N,D], weight[H,D], visible_bias[D], hidden_bias[H]) -> [N]",
        (GUIDE, SALAKHUTDINOV),
        inputs=("v", *MACHINE),
        parameters=MACHINE,
        operations=_products,
        magnitude=_energies,
        construct=_sizes,
    ),
    Component(
        "contrastive_divergence",
        "estimate",
        "CD-k: estimate of a restricted Boltzmann machine's gradient, from given uniform numbers",
        r"\Delta W = \langle p(h \mid v^0)\, v^{0T} \rangle - \langle p(h \mid v^k)\, v^{kT} \rangle",
        "f(v[N,D], weight[H,D], visible_bias[D], hidden_bias[H], hidden_uniforms[k,N,H], visible_uniforms[k,N,D])"
        " -> (weight, visible_bias, hidden_bias)",
        (NOTES, CD, GUIDE),
        inputs=("v", *MACHINE, "hidden_uniforms", "visible_uniforms"),
        parameters=MACHINE,
        conventions=(RECONSTRUCTION, POSITIVE, BATCH),
        operations=_chain,
        magnitude=_one,
    ),
    Component(
        "deep_belief_network",
        "function",
        "A draw from a deep belief network of two machines, from given uniform numbers",
        r"P(t \mid h) = \sigma(d + U h),\ P(h \mid t) = \sigma(c + U^T t),\ P(v \mid h) = \sigma(b + W^T h)",
        "f(h[N,H], weight[H,D], visible_bias[D], top_weight[T,H], hidden_bias[H], top_bias[T], top_uniforms[k,N,T],"
        " hidden_uniforms[k,N,H], visible_uniforms[N,D]) -> [N,D]",
        (NOTES, FAST),
        inputs=(
            "h", "weight", "visible_bias", "top_weight", "hidden_bias", "top_bias",
            "top_uniforms", "hidden_uniforms", "visible_uniforms",
        ),
        parameters=("weight", "visible_bias", "top_weight", "hidden_bias", "top_bias"),
        differentiable=(),
        conventions=(OUTPUT,),
        operations=_chain,
        magnitude=_one,
    ),
)  # fmt: skip
