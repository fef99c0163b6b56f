"""What the options of a run say, for the items of the suite."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import pytest

from dlcheck.claim_items import hand_over
from dlcheck.evidence import experiment, seeds
from dlcheck.outcomes import Record
from dlcheck.profiles import PROFILES
from dlcheck.pytest_plugin import setting
from dlcheck.suite.judging import Run


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Whatever a run selects, its controls run too, and first."""
    controls = [item for item in items if item.path.stem == "test_controls"]
    yield
    if items:
        items[:] = [*controls, *(item for item in items if item not in controls)]


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
def report(record_property: Callable[[str, object], None]) -> Callable[[Sequence[Record]], None]:
    """Hand records to the run's results, and let the item end as they say."""
    return partial(hand_over, record_property=record_property)
