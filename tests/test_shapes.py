"""The shapes written in the signatures of our implementations are those of their arrays, in the fixed cases.

One case stands for all of a component that have the same run, shapes and names of settings.

In processes of their own: the import hook that checks each call makes implementations ten times slower.
"""

import subprocess
import sys

import pytest

from dlcheck import registry

OBSERVE = """
import sys

import beartype
import jaxtyping

beartype.beartype = beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))  # an int is a float
jaxtyping.install_import_hook([f"dlcheck.{sys.argv[1]}.reference", f"dlcheck.{sys.argv[1]}.torch"], "beartype.beartype")

from dlcheck import registry
from dlcheck.conformance.implementation import NotProvided
from dlcheck.conformance.oracle import prepared
from dlcheck.conformance.targets import ours


def shapes(value):
    if isinstance(value, dict):
        return str({name: shapes(inner) for name, inner in value.items()})
    if isinstance(value, (list, tuple)):
        return str([shapes(inner) for inner in value])
    return str(getattr(value, "shape", type(value)))


for name, component in registry.components().items():
    if registry.families()[name] == sys.argv[1]:
        cases = {
            (case.run, shapes(case.inputs), *case.settings): case
            for check in registry.checks(name)
            for case in check.cases
        }.values()
        for code in map(lambda kind: ours(component, kind), registry.IMPLEMENTATIONS):
            for case in cases:
                try:
                    code.observe(prepared(case))
                except NotProvided:
                    continue
"""


@pytest.mark.parametrize("family", registry.FAMILIES)
def test_shapes_of_signatures(family: str) -> None:
    run = subprocess.run([sys.executable, "-c", OBSERVE, family], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-3000:]


def test_the_hook_would_tell() -> None:
    code = """
import jaxtyping

jaxtyping.install_import_hook("dlcheck.activations.reference", "beartype.beartype")

from dlcheck.activations import reference

reference.sigmoid("no array")
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "TypeCheckError" in run.stderr
