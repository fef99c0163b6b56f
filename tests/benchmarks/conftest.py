"""Every benchmark hands its median to the results, from which the report shows the ratios."""

import shutil
from collections.abc import Iterator

import pytest

from dlcheck import results
from dlcheck.outcomes import record


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Compiled code is for measuring: it takes a minute to make, and warns of what is torch's own affair."""
    compiled = [item for item in items if _code(item) == "compiled"]
    without = pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="no C++ compiler")
    for item in compiled:
        item.add_marker(pytest.mark.filterwarnings("ignore"))
        item.add_marker(without)
    if config.getoption("benchmark_disable") and not config.getoption("benchmark_enable"):
        config.hook.pytest_deselected(items=compiled)
        items[:] = [item for item in items if item not in compiled]


def _code(item: pytest.Item) -> str:
    callspec = getattr(item, "callspec", None)
    return callspec.params.get("code", "") if callspec else ""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Function) -> Iterator[None]:
    yield
    benchmark = item.funcargs.get("benchmark")
    if benchmark is not None and benchmark.stats is not None:
        seconds, code = benchmark.stats.stats.median, item.callspec.params["code"]
        measured = record("benchmark", benchmark.group, "pass", implementation=code, seconds=seconds)
        item.user_properties.append(("dlcheck", results.dumps([measured])))
