"""The activations of one number over every 16-bit input: how accurate they are, and that it is enough."""

from collections.abc import Callable, Iterator

import pytest

from dlcheck import accuracy
from dlcheck.outcomes import Record, record
from dlcheck.suite.judging import Run


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("implementation", accuracy.IMPLEMENTATIONS)
@pytest.mark.parametrize("component", accuracy.components())
def test_accuracy(component: str, implementation: str, dtype: str, run: Run, report: Callable[..., None]) -> None:
    report(list(_records(component, implementation, dtype, run.device)))


def _records(component: str, implementation: str, dtype: str, device: str) -> Iterator[Record]:
    for of, found in accuracy.table(component, implementation, dtype, device):
        share = accuracy.share_of_allowed(component, implementation, of, dtype, device)
        wrong = "" if share <= 1 else f"{dtype} {of}: the worst error is {share:.3g} times the allowed one"
        yield record(
            "accuracy",
            f"{component} {of} in {dtype}",
            "fail" if wrong else "pass",
            component=component,
            implementation=implementation,
            message=wrong,
            of=of,
            dtype=dtype,
            inputs=found.inputs,
            worst_ulp=found.worst_ulp,
            worst_input=found.worst_input,
            misrounded=found.misrounded,
            special=found.special,
        )
