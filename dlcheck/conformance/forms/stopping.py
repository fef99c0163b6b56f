"""Early stopping: the reference is a pure step from one value and state to the next."""

from typing import Any

import numpy as np

from dlcheck.component import Case, Component
from dlcheck.conformance.form import Form
from dlcheck.conformance.forms.replay import keywords
from dlcheck.conformance.implementation import Array, Observation
from dlcheck.conformance.oracle import Reference


def _told(state: Any, value: float, stops: bool) -> tuple[float | None, int | None]:
    """What ``best`` and ``best_epoch`` tell after a step."""
    return state.best, state.best_epoch


DRIVER = {"told": _told}
"""What surrounds a step."""


def epochs(reference: Reference, case: Case) -> Observation:
    """After each value: whether to stop, the best value and its epoch.

    Nothing changes once it has stopped, except in a case that goes on with bad values: they stop it as well.
    """
    name, told = reference.component.name, reference.required("told")
    settings = reference.keywords(name, case.settings)
    state, history = None, History()
    for value in case.inputs["values"]:
        stops, state = reference.required(name)(float(value), state, **settings)
        history.add(stops, *told(state, float(value), stops))
        if stops and not case.inputs.get("goes_on"):
            break
    return Observation(history.values(len(case.inputs["values"])))


class History:
    """What was seen after each epoch until it stopped, which holds from then on."""

    def __init__(self) -> None:
        self.rows: list[tuple[float, float, float]] = []

    def add(self, stops: bool, best: Any, best_epoch: Any) -> None:
        """One epoch; before there is a best value neither it nor its epoch counts."""
        if best is None or best_epoch is None or not np.isfinite(best):
            best = best_epoch = np.nan
        self.rows.append((float(stops), float(best), float(best_epoch)))

    def values(self, epochs: int) -> dict[str, Array]:
        """Arrays over all epochs."""
        rows = self.rows + [self.rows[-1]] * (epochs - len(self.rows)) if self.rows else []
        columns = np.array(rows, np.float64).reshape(-1, 3).T
        return dict(zip(("stop", "best", "best_epoch"), columns, strict=True))


def snippet(component: Component, case: Case) -> list[str]:
    """Step through the values."""
    values = [float(value) for value in case.inputs["values"]]
    return [
        f"stopping = target({keywords(case).removeprefix(', ')})",
        f"for value in {values}: print(value, stopping.step(value), stopping.best, stopping.best_epoch)",
    ]


FORM = Form({"epochs": epochs}, ("determinism",), snippet, DRIVER)
