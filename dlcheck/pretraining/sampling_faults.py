"""The known mistakes in contrastive divergence and in draws from a deep belief network."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcheck.component import Fault
from dlcheck.pretraining import reference
from dlcheck.pretraining.reference import Machine, hidden_probabilities, visible_probabilities

Array = NDArray[Any]
Gradients = dict[str, Array]
Replaces = dict[str, Callable[..., Any]]
Step = tuple[Array, Array, Array]
Chain = Callable[[Array, Machine, Array, Array], Iterator[Step]]
"""As ``reference.gibbs``: for each step the hidden sample, the probabilities of the visible units, their sample."""

BIASED = "The estimate is biased: it does not tend to the gradient, however long the chain."
OTHER_DRAWS = "The draws are not those of the network."
"""Effects that several faults share."""


# --- contrastive divergence ------------------------------------------------------------------------------------------


def _estimate(change: Callable[..., Gradients]) -> Replaces:
    """What ``change(right gradients, *arrays)`` makes of the right estimate."""

    def function(*arrays: Array, **settings: Any) -> Gradients:
        found = reference.contrastive_divergence(*arrays, **settings)
        return {**found, **change(found, *arrays)}

    return {"contrastive_divergence": function}


def _statistics(
    v: Array, machine: Machine, chain: list[Step], start: Array | None = None, left: Array | None = None
) -> Gradients:
    """The estimate from a chain, with other hidden units for the data or for the end of the chain."""
    first, end = hidden_probabilities(v, machine), chain[-1][2]
    start, left = first if start is None else start, hidden_probabilities(end, machine) if left is None else left
    return {
        "weight": (start.T @ v - left.T @ end) / len(v),
        "visible_bias": (v - end).mean(0),
        "hidden_bias": (start - left).mean(0),
    }


def _of_chain(chain: Chain) -> Replaces:
    """The estimate after another chain."""

    def function(v: Array, weight: Array, b: Array, c: Array, hidden: Array, visible: Array, **_: Any) -> Gradients:
        machine = Machine(weight, b, c)
        return _statistics(v, machine, list(chain(v, machine, hidden, visible)))

    return {"contrastive_divergence": function}


def _sampling(
    of_hidden: Callable[[Array, Array], Array] = lambda u, p: 1.0 * (u < p),
    of_visible: Callable[[Array, Array], Array] = lambda u, p: 1.0 * (u < p),
    change: Callable[[Machine], Machine] = lambda machine: machine,
) -> Chain:
    """A chain of other samples or of another machine."""

    def chain(v: Array, machine: Machine, hidden: Array, visible: Array) -> Iterator[Step]:
        machine = change(machine)
        for u, w in zip(hidden, visible, strict=True):
            h = of_hidden(u, hidden_probabilities(v, machine))
            p = visible_probabilities(h, machine)
            v = of_visible(w, p)
            yield h, p, v

    return chain


def _restarted(v: Array, machine: Machine, hidden: Array, visible: Array) -> Iterator[Step]:
    for u, w in zip(hidden, visible, strict=True):
        yield from reference.gibbs(v, machine, u[None], w[None])


def _wrong_way_down(v: Array, machine: Machine, hidden: Array, visible: Array) -> Iterator[Step]:
    for u, w in zip(hidden, visible, strict=True):
        h = 1.0 * (u < hidden_probabilities(v, machine))
        p = visible_probabilities(h, machine._replace(weight=_square_transposed(machine.weight)))
        v = 1.0 * (w < p)
        yield h, p, v


def _stale(v: Array, weight: Array, b: Array, c: Array, hidden: Array, visible: Array, **_: Any) -> Gradients:
    """The hidden probabilities of the step before, beside the last visible sample."""
    machine = Machine(weight, b, c)
    chain = list(reference.gibbs(v, machine, hidden, visible))
    before = [v, *(sample for _, _, sample in chain)][-2]
    return _statistics(v, machine, chain, left=hidden_probabilities(before, machine))


def _last_sampled(v: Array, weight: Array, b: Array, c: Array, hidden: Array, visible: Array, **_: Any) -> Gradients:
    """The hidden sample of the last step, beside the visible sample that was made of it."""
    machine = Machine(weight, b, c)
    chain = list(reference.gibbs(v, machine, hidden, visible))
    return _statistics(v, machine, chain, left=chain[-1][0])


def _data_twice(found: Gradients, v: Array, weight: Array, b: Array, c: Array, *uniforms: Array) -> Gradients:
    """The data's hidden units beside the reconstruction in the positive phase."""
    machine = Machine(weight, b, c)
    end = list(reference.gibbs(v, machine, *uniforms))[-1][2]
    start, left = hidden_probabilities(v, machine), hidden_probabilities(end, machine)
    return {"weight": (start - left).T @ end / len(v)}


def _bias_of_sample(found: Gradients, v: Array, weight: Array, b: Array, c: Array, *uniforms: Array) -> Gradients:
    machine = Machine(weight, b, c)
    chain = list(reference.gibbs(v, machine, *uniforms))
    return {"hidden_bias": (chain[0][0] - hidden_probabilities(chain[-1][2], machine)).mean(0)}


def _mixed(name: str) -> Callable[..., Gradients]:
    """One gradient of the last visible probabilities, beside hidden units of the sample."""

    def change(found: Gradients, v: Array, weight: Array, b: Array, c: Array, *uniforms: Array) -> Gradients:
        machine = Machine(weight, b, c)
        _, p, end = list(reference.gibbs(v, machine, *uniforms))[-1]
        start, left = hidden_probabilities(v, machine), hidden_probabilities(end, machine)
        mixed = {"weight": (start.T @ v - left.T @ p) / len(v), "visible_bias": (v - p).mean(0)}
        return {name: mixed[name]}

    return change


def _square_transposed(values: Array) -> Array:
    return values.T if values.shape[0] == values.shape[1] else values


def _cd(id: str, says: str, effect: str, fix: str, replaces: Replaces, *happened: str) -> Fault:
    return Fault(f"cd-{id}", "contrastive_divergence", says, effect, fix, replaces, happened)


def _forget(name: str) -> Callable[[Machine], Machine]:
    return lambda machine: machine._replace(**{name: np.zeros_like(getattr(machine, name))})


CONTRASTIVE_DIVERGENCE = (
    _cd("phases-exchanged", "the data are subtracted, the chain added", "The model flees from the data.",
        "data minus chain", _estimate(lambda found, *_: {name: -value for name, value in found.items()})),
    _cd("positive-phase-of-reconstruction", "the data's weight statistics take the reconstruction", BIASED,
        "p(h | v0) v0^T in the positive phase", _estimate(_data_twice)),
    _cd("negative-phase-missing", "the chain's statistics are not subtracted", "Weights grow without bound.",
        "data minus chain", _estimate(lambda found, v, w, b, c, *_: {
            "weight": hidden_probabilities(v, Machine(w, b, c)).T @ v / len(v), "visible_bias": v.mean(0),
            "hidden_bias": hidden_probabilities(v, Machine(w, b, c)).mean(0)})),
    _cd("hidden-of-step-before", "the last hidden units belong to the visible ones before", BIASED,
        "p(h | v_k), one more upward pass", {"contrastive_divergence": _stale},
        "https://github.com/DsysDML/rbms/issues/31"),
    _cd("last-hidden-sampled", "the last hidden units are those that made the sample", BIASED,
        "p(h | v_k), one more upward pass", {"contrastive_divergence": _last_sampled}),
    _cd("weight-summed", "the weight's gradient is summed, the biases' averaged",
        "Weights learn faster than biases, by the size of the batch.", "divide all three by the batch",
        _estimate(lambda found, v, *_: {"weight": found["weight"] * len(v)}),
        "https://github.com/yusugomori/DeepLearning/issues/22"),
    _cd("biases-summed", "the biases' gradients are summed, the weight's averaged",
        "Biases learn faster than weights, by the size of the batch.", "divide all three by the batch",
        _estimate(lambda found, v, *_: {name: found[name] * len(v) for name in ("visible_bias", "hidden_bias")})),
    _cd("weight-averaged-over-units", "the weight's gradient is divided by the visible units, too",
        "Weights learn too slowly.", "divide by the batch",
        _estimate(lambda found, v, *_: {"weight": found["weight"] / v.shape[1]})),
    _cd("weight-of-probabilities", "the weight alone takes the last visible probabilities", BIASED,
        "the same v_k for all three", _estimate(_mixed("weight"))),
    _cd("visible-bias-of-probabilities", "the visible bias alone takes the last probabilities", BIASED,
        "the same v_k for all three", _estimate(_mixed("visible_bias"))),
    _cd("hidden-bias-of-sample", "the hidden bias takes a sample, the weight probabilities",
        "The hidden biases learn from needless noise.", "p(h | v0) for both", _estimate(_bias_of_sample),
        "https://github.com/yusugomori/DeepLearning/issues/31"),
    _cd("weight-transposed", "the weight's gradient is transposed", BIASED, "h v^T, (H, D)",
        _estimate(lambda found, *_: {"weight": _square_transposed(found["weight"])})),
    _cd("visible-bias-fixed", "the visible bias gets no gradient", BIASED, "v0 - vk",
        _estimate(lambda found, *_: {"visible_bias": np.zeros_like(found["visible_bias"])})),
    _cd("hidden-bias-fixed", "the hidden bias gets no gradient", BIASED, "p(h | v0) - p(h | vk)",
        _estimate(lambda found, *_: {"hidden_bias": np.zeros_like(found["hidden_bias"])})),
    _cd("one-step-only", "it always takes one step", BIASED, "k steps",
        _of_chain(lambda v, m, u, w: reference.gibbs(v, m, u[:1], w[:1]))),
    _cd("one-step-less", "it takes k - 1 steps", BIASED, "k steps",
        _of_chain(lambda v, m, u, w: reference.gibbs(v, m, u[: max(len(u) - 1, 1)], w[: max(len(w) - 1, 1)]))),
    _cd("chain-restarted", "every step starts from the data again", BIASED, "go on from the last sample",
        _of_chain(_restarted)),
    _cd("randomness-reused", "every step uses the same random numbers", BIASED, "fresh numbers in every step",
        _of_chain(lambda v, m, u, w: reference.gibbs(v, m, np.repeat(u[:1], len(u), 0), np.repeat(w[:1], len(w), 0)))),
    _cd("hidden-not-sampled", "hidden probabilities, not samples, drive the chain",
        "A hidden unit passes on more than a bit; the machine regularises less.", "1 where u < p",
        _of_chain(_sampling(of_hidden=lambda u, p: p))),
    _cd("hidden-rounded", "hidden units are on where their probability exceeds 1/2", BIASED, "1 where u < p",
        _of_chain(_sampling(of_hidden=lambda u, p: 1.0 * (p > 0.5)))),
    _cd("visible-rounded", "visible units are on where their probability exceeds 1/2", BIASED, "1 where u < p",
        _of_chain(_sampling(of_visible=lambda u, p: 1.0 * (p > 0.5)))),
    _cd("hidden-inverted", "hidden units are on where u > p", BIASED, "1 where u < p",
        _of_chain(_sampling(of_hidden=lambda u, p: 1.0 * (u > p)))),
    _cd("visible-inverted", "visible units are on where u > p", BIASED, "1 where u < p",
        _of_chain(_sampling(of_visible=lambda u, p: 1.0 * (u >= p)))),
    _cd("visible-bias-forgotten", "the chain forgets the visible bias", BIASED, "sigmoid(b + W^T h)",
        _of_chain(_sampling(change=_forget("visible_bias")))),
    _cd("hidden-bias-forgotten", "the chain forgets the hidden bias", BIASED, "sigmoid(c + W v)",
        _of_chain(_sampling(change=_forget("hidden_bias")))),
    _cd("chain-weight-transposed", "the chain goes down with the weight of the way up", BIASED, "sigmoid(b + W^T h)",
        _of_chain(_wrong_way_down)),
)  # fmt: skip


# --- deep belief network ---------------------------------------------------------------------------------------------

NAMES: tuple[str, ...] = (
    "h", "weight", "visible_bias", "top_weight", "hidden_bias", "top_bias",
    "top_uniforms", "hidden_uniforms", "visible_uniforms",
)  # fmt: skip
"""The arguments of ``reference.deep_belief_network`` in their order."""


def _drawn(change: Callable[[dict[str, Array]], dict[str, Array]]) -> Replaces:
    """The right draw from changed arguments."""

    def function(*arrays: Array, **settings: Any) -> Array:
        given = dict(zip(NAMES, arrays, strict=True))
        return reference.deep_belief_network(**{**given, **change(given)}, **settings)

    return {"deep_belief_network": function}


def _from(state: Callable[[dict[str, Array], Array], Array], bias: Callable[[dict[str, Array]], Array]) -> Replaces:
    """The way down from another state of the hidden units, with another bias of the visible ones."""

    def function(*arrays: Array, output: str = "sampled") -> Array:
        given = dict(zip(NAMES, arrays, strict=True))
        upper = Machine(given["top_weight"], given["hidden_bias"], given["top_bias"])
        *_, (_, _, h) = reference.gibbs(given["h"], upper, given["top_uniforms"], given["hidden_uniforms"])
        lower = Machine(given["weight"], bias(given), given["hidden_bias"])
        p = visible_probabilities(state(given, h), lower)
        return p if output == "probabilities" else 1.0 * (given["visible_uniforms"] < p)

    return {"deep_belief_network": function}


def _probabilities(given: dict[str, Array], h: Array) -> Array:
    upper = Machine(given["top_weight"], given["hidden_bias"], given["top_bias"])
    *_, (_, p, _) = reference.gibbs(given["h"], upper, given["top_uniforms"], given["hidden_uniforms"])
    return p


def _dbn(id: str, says: str, fix: str, replaces: Replaces) -> Fault:
    return Fault(f"dbn-{id}", "deep_belief_network", says, OTHER_DRAWS, fix, replaces)


def _visible_bias(given: dict[str, Array]) -> Array:
    return given["visible_bias"]


def _one_less(given: dict[str, Array]) -> dict[str, Array]:
    return {name: given[name][: max(len(given[name]) - 1, 1)] for name in ("top_uniforms", "hidden_uniforms")}


def _unsampled_top(given: dict[str, Array], h: Array) -> Array:
    upper, h = Machine(given["top_weight"], given["hidden_bias"], given["top_bias"]), given["h"]
    for u in given["hidden_uniforms"]:
        h = 1.0 * (u < visible_probabilities(hidden_probabilities(h, upper), upper))
    return h


def _all_inverted(*arrays: Array, output: str = "sampled") -> Array:
    given = dict(zip(NAMES, arrays, strict=True))
    upper, h = Machine(given["top_weight"], given["hidden_bias"], given["top_bias"]), given["h"]
    for u, w in zip(given["top_uniforms"], given["hidden_uniforms"], strict=True):
        h = 1.0 * (w > visible_probabilities(1.0 * (u > hidden_probabilities(h, upper)), upper))
    p = visible_probabilities(h, Machine(given["weight"], given["visible_bias"], given["hidden_bias"]))
    return p if output == "probabilities" else 1.0 * (given["visible_uniforms"] > p)


def _once(given: dict[str, Array]) -> dict[str, Array]:
    return {name: given[name][:1] for name in ("top_uniforms", "hidden_uniforms")}


DEEP_BELIEF_NETWORK = (
    _dbn("one-step-only", "the upper machine takes one step only", "k steps of alternate sampling", _drawn(_once)),
    _dbn("one-step-less", "the upper machine takes k - 1 steps", "k steps of alternate sampling", _drawn(_one_less)),
    _dbn("top-not-sampled", "top probabilities, not samples, drive the chain", "sample the top units",
         _from(_unsampled_top, _visible_bias)),
    _dbn("all-inverted", "units of all layers are on where u > p", "1 where u < p", {
        "deep_belief_network": _all_inverted}),
    _dbn("upper-machine-skipped", "the upper machine is not sampled at all", "sample it, then go down",
         _from(lambda given, h: given["h"], _visible_bias)),
    _dbn("hidden-not-sampled", "the way down starts from probabilities", "sample the hidden units first",
         _from(_probabilities, _visible_bias)),
    _dbn("visible-bias-forgotten", "the visible bias is forgotten", "sigmoid(b + W^T h)",
         _drawn(lambda given: {"visible_bias": np.zeros_like(given["visible_bias"])})),
    _dbn("hidden-bias-forgotten", "the upper machine forgets the hidden bias", "sigmoid(c + U^T t)",
         _drawn(lambda given: {"hidden_bias": np.zeros_like(given["hidden_bias"])})),
    _dbn("top-bias-forgotten", "the top bias is forgotten", "sigmoid(d + U h)",
         _drawn(lambda given: {"top_bias": np.zeros_like(given["top_bias"])})),
    _dbn("weight-transposed", "the weight is transposed on the way down", "sigmoid(b + W^T h) with W (H, D)",
         _drawn(lambda given: {"weight": _square_transposed(given["weight"])})),
    _dbn("top-weight-transposed", "the upper weight is transposed", "sigmoid(d + U h) with U (T, H)",
         _drawn(lambda given: {"top_weight": _square_transposed(given["top_weight"])})),
    _dbn("sampled-by-rounding", "visible units are on where their probability exceeds 1/2", "1 where u < p",
         _drawn(lambda given: {"visible_uniforms": np.full_like(given["visible_uniforms"], 0.5)})),
    _dbn("randomness-reused", "every step uses the same random numbers", "fresh numbers in every step",
         _drawn(lambda given: {name: np.repeat(given[name][:1], len(given[name]), 0)
                               for name in ("top_uniforms", "hidden_uniforms")})),
    _dbn("inverted", "visible units are on where u > p", "1 where u < p",
         {"deep_belief_network": lambda *arrays, output="sampled": (
             reference.deep_belief_network(*arrays, output=output) if output == "probabilities"
             else 1 - reference.deep_belief_network(*arrays))}),
)  # fmt: skip

SAMPLING: tuple[Fault, ...] = (*CONTRASTIVE_DIVERGENCE, *DEEP_BELIEF_NETWORK)
