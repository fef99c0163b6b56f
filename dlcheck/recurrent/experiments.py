"""What the notes say about the gates of an LSTM in training, judged by seeded runs on real data.

Every rule below was fixed before the runs that decide; a difference of losses counts from a factor of 1.1.
"""

from collections.abc import Mapping

import numpy as np

from dlcheck.component import Source, notes
from dlcheck.evidence import experiment
from dlcheck.evidence.experiment import Curves, Paired
from dlcheck.judgement import Counterexample, Evidence, Figure, Judgement, Table, claim
from dlcheck.recurrent.remembering import GATES, Array, Remembering, adam

_MARGIN = float(np.log2(1.1))
_RATES = (0.01, 0.03)
LONG, SHORT = 50, 3
"""Blank steps between an example and its answer."""
BIASES = (0.0, 1.0, 4.0)
"""Of the forget gate at the start; log(50) is 3.9."""
PIECES = 16
"""Parts of four pixels in which an LSTM reads a digit."""

_NOTES = notes("001, section 1.2")
_JOZEFOWICZ = Source(
    "Jozefowicz, Zaremba, Sutskever: An empirical exploration of recurrent network architectures (2015)",
    "sections 2.2 and 4",
    "https://proceedings.mlr.press/v37/jozefowicz15.html",
)
_GREFF = Source("Greff et al.: LSTM: a search space odyssey (2017)", "section V.B", "https://arxiv.org/abs/1503.04069")


def _runs(data: str, network: Remembering, rates: tuple[float, ...], steps: int, times: int = 1) -> Curves:
    seeds, marks = experiment.seeds(experiment.PROFILE, times), range(0, steps + 1, steps // 4)
    data_of_seeds = experiment.load(data, seeds)
    # what is trained need only draw its weights and be called, as a Network
    return experiment.train(data_of_seeds, seeds, network, rates, steps, adam, 32, marks)  # type: ignore[arg-type]


def _last(curves: Curves) -> Array:
    """log2 of the last training loss of every seed, at the best learning rate."""
    return np.log2(curves.loss[_best(curves), :, -1])


def _best(curves: Curves) -> int:
    """The learning rate whose last loss is least, by its mean logarithm over the seeds."""
    return experiment.best(np.log2(curves.loss[:, :, -1]))


def _score(curves: Curves) -> float:
    return float(curves.score[_best(curves), :, -1].mean())


def _shown(intervals: Mapping[str, Paired], **size: object) -> Evidence:
    fixed = {"profile": experiment.PROFILE, "level of intervals": experiment.LEVEL, **size}
    how = "log2 of the last training loss, paired by seed, each setting at its best rate; Adam, batches of 32"
    return Evidence("empirical", how, {**fixed, **{name: str(interval) for name, interval in intervals.items()}})


def _curves(title: str, curves: Mapping[str, Curves]) -> Figure:
    best = {label: runs.loss[_best(runs)] for label, runs in curves.items()}
    series = {label: (curves[label].steps.tolist(), losses.mean(0).tolist()) for label, losses in best.items()}
    return Figure(title, "update", "mean training loss", series, y_scale="log")


@claim(
    "lstm.gate-importance",
    says="By importance the LSTM's gates rank forget, then input, then output.",
    sources=(_NOTES, _JOZEFOWICZ, _GREFF),
    evidence="empirical",
    verdict="refuted",
    formula=r"\text{importance of a gate} = \log_2 \frac{\text{loss with the gate held at } 1}{\text{loss with all}}",
)
def lstm_gate_importance() -> Judgement:
    """Hold one gate open at a time while an LSTM learns to read digits piece by piece."""
    networks = {"all gates": Remembering(0, 1.0, PIECES, 16)}
    networks |= {f"without {gate}": Remembering(0, 1.0, PIECES, 16, frozenset({gate})) for gate in GATES}
    curves = {label: _runs("digits", network, _RATES[1:], 120, times=4) for label, network in networks.items()}
    last = {label: _last(runs) for label, runs in curves.items()}
    pairs = [("input", "forget"), ("input", "output"), ("forget", "output")]
    intervals = {
        f"without {a} against without {b}": experiment.paired(last[f"without {a}"], last[f"without {b}"], _MARGIN)
        for a, b in pairs
    }
    reversed_order = intervals["without input against without forget"].decision == "larger"
    losses = {label: float(f"{2 ** values.mean():.3g}") for label, values in last.items()}
    return Judgement(
        evidence=_shown(intervals, data="digits", pieces=PIECES, units=16, steps=120),
        confirmed=not reversed_order,
        counterexample=Counterexample(
            says="reading digits in 16 pieces of four pixels, an LSTM loses more without its input gate than without "
            "its forget gate, which starts with a bias of 1 in all of them",
            inputs={"data": "digits", "pieces": PIECES, "units": 16, "gate held open": "one at a time"},
            claimed="the largest loss without the forget gate",
            actual=losses,
            confirmed=reversed_order,
        ),
        correction="Which gate matters most depends on the task. Where an example is shown once and kept over blank "
        "steps, a gate below 1 can only fade it, f^T, and the forget gate may as well be open; where every piece has "
        "to be weighed the input gate comes first; the forget gate does where much has to be dropped.",
        explanation="The ranking is that of one study of language and music tasks. Greff et al. find forget gate and "
        "output activation the most critical of eight variants, with differences between data sets.",
        figures=(_curves("Digits read in 16 pieces, one gate held open", curves),),
    )


@claim(
    "lstm.forget-bias-trains",
    says="A large initial forget bias improves results on tasks with long delays.",
    sources=(_NOTES, _JOZEFOWICZ),
    evidence="empirical",
    verdict="holds",
    formula=r"\sigma(b)^T: \quad b = 0 \to 2^{-T}, \quad b = \log T \to e^{-1}",
)
def lstm_forget_bias_trains() -> Judgement:
    """Train with several biases where an example is asked for at once, and where after fifty blank steps."""
    curves = {
        (delay, bias): _runs("breast cancer", Remembering(delay, bias), _RATES, 60, times=3)
        for delay in (SHORT, LONG)
        for bias in BIASES
    }
    last = {key: _last(runs) for key, runs in curves.items()}
    intervals = {
        f"bias 0 against {bias:g}, delay {delay}": experiment.paired(last[delay, 0.0], last[delay, bias], _MARGIN)
        for delay in (SHORT, LONG)
        for bias in BIASES[1:]
    }
    rows = [[*key, float(2 ** values.mean()), _score(curves[key])] for key, values in last.items()]
    long = [interval for name, interval in intervals.items() if name.endswith(f"delay {LONG}")]
    return Judgement(
        evidence=_shown(intervals, data="breast cancer", units=8, steps=60),
        confirmed=all(interval.decision == "larger" for interval in long),
        explanation="With bias 0 the example has faded to 2^-50 when it is asked for, and so has its gradient: nothing "
        "is learned in the time given. A bias of 1 suffices to start, one near the logarithm of the delay learns "
        "fastest; over three blank steps it makes little difference.",
        figures=(_curves(f"An example asked for after {LONG} blank steps", {
            f"bias {bias:g}": curves[LONG, bias] for bias in BIASES
        }),),
        tables=(Table("Last loss and test score", ("delay", "forget bias", "training loss", "test score"), rows),),
    )  # fmt: skip
