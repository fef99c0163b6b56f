"""What the options of a run say, for the items of the suite."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import pytest

from dlcheck.claim_items import hand_over
from dlcheck.component import Component, Counterpart, Fault
from dlcheck.evidence import experiment, seeds
from dlcheck.outcomes import Record
from dlcheck.profiles import PROFILES
from dlcheck.pytest_plugin import setting
from dlcheck.suite.judging import Run


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Function]) -> Iterator[None]:
    """Whatever a run selects, its controls run too, and first; what the reference gives in a case is found once.

    For that, one worker has all items of a component.
    """
    for item in items:
        given = item.callspec.params.values()
        if component := next(filter(None, map(_component, given)), ""):
            item.add_marker(pytest.mark.xdist_group(component))
    controls = [item for item in items if item.path.stem == "test_controls"]
    yield
    if items:
        items[:] = [*controls, *(item for item in items if item not in controls)]


def _component(given: object) -> str:
    if isinstance(given, (Fault, Counterpart)):
        return given.component
    return given.name if isinstance(given, Component) else ""


@pytest.fixture(scope="session")
def run(pytestconfig: pytest.Config) -> Run:
    """The options of this run."""
    experiment.PROFILE = profile = setting(pytestconfig, "profile")
    seeds.RUN = seed = int(setting(pytestconfig, "seed"))
    return Run(seed, PROFILES[profile], _available(setting(pytestconfig, "device")))


def _available(device: str) -> str:
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise pytest.UsageError("--dlcheck-device=cuda: torch finds no CUDA device")
    return ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Callable[[Sequence[Record]], None]:
    """Hand records to the run's results, and let the item end as they say."""
    return partial(hand_over, item=request.node)
