"""Every benchmark hands its median to the results, from which the report shows the ratios."""

from collections.abc import Iterator

import pytest

from dlcheck import results
from dlcheck.outcomes import record


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Function) -> Iterator[None]:
    yield
    benchmark = item.funcargs.get("benchmark")
    if benchmark is not None and benchmark.stats is not None:
        seconds, code = benchmark.stats.stats.median, item.callspec.params["code"]
        measured = record("benchmark", benchmark.group, "pass", implementation=code, seconds=seconds)
        item.user_properties.append(("dlcheck", results.dumps([measured])))
