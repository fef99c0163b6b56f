"""What libraries other than torch have is accepted in their own form; what is listed of it is judged by the suite."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import dlcheck
from dlcheck import registry
from dlcheck.component import Counterpart
from dlcheck.conformance import targets
from dlcheck.conformance.check import judge
from dlcheck.conformance.common_checks import all_checks
from dlcheck.conformance.implementation import Refused
from dlcheck.suite import test_upstream as suite
from dlcheck.suite.judging import Run
from dlcheck.suite.peers import PEERS

TIMEOUT = 120.0


def needs(library: str) -> None:
    """Skip where a library is missing; it is imported by the process of the target only."""
    if not importlib.util.find_spec(library):
        pytest.skip(f"{library} is not installed")


@pytest.mark.parametrize("listed", [*registry.counterparts(), *PEERS], ids=lambda listed: listed.name)
def test_what_is_listed_exists(listed: Counterpart) -> None:
    component = registry.components()[listed.component]
    options = {convention.axis: {o.name for o in convention.options} for convention in component.conventions}
    assert all(option in options[axis] for axis, option in listed.follows.items())
    assert listed.known.keys() <= {check.id for check in all_checks(component)}


def test_a_peer_that_is_not_installed_is_no_pass(tmp_path: Path) -> None:
    records: list[Any] = []
    suite.test_peers(Counterpart("relu", "nosuchlibrary:relu"), Run(0, 0, "cpu"), records.extend, tmp_path)
    assert [record["status"] for record in records] == ["not provided"]
    assert records[0]["message"] == "nosuchlibrary is not installed"


@pytest.mark.parametrize(
    ("listed", "status", "message"),
    [
        ({}, "pass", ""),
        ({"follows": {"nan": "ignored"}}, "fail", "nan follows propagates, expected ignored"),
        (
            {"known": {"activations.relu.values": "it is off"}},
            "fail",
            "activations.relu.values is vanished (it is off)",
        ),
    ],
)
def test_what_is_listed_of_a_library_must_be_what_is_found(listed: Any, status: str, message: str) -> None:
    records: list[Any] = []
    counterpart = Counterpart("relu", "torch:relu", **listed)
    suite.test_upstream(counterpart, Run(0, 0, "cpu"), records.extend)
    assert [(record["status"], record["message"]) for record in records] == [(status, message)]


def test_a_finding_tells_the_dtype_in_which_it_was_run() -> None:
    def doubled(x: torch.Tensor) -> torch.Tensor:
        return 2 * torch.sigmoid(x)

    doubled.widest = "float32"  # type: ignore[attr-defined]
    sigmoid = registry.components()["sigmoid"]
    finding = judge(sigmoid, targets.adapt(sigmoid, doubled), examples=0).findings[0]
    assert finding.parameters["dtype"] == "float32"
    assert finding.details["input"].endswith(", float32")


JAX_SOFTMAX = """
import jax.numpy as jnp

def softmax(x, axis=-1):
    shifted = x - {shift}
    return jnp.exp(shifted) / jnp.exp(shifted).sum(axis, keepdims=True)
"""


@pytest.mark.peers
@pytest.mark.parametrize(("shift", "conforms"), [("x.max(axis, keepdims=True)", True), ("0", False)])
def test_own_function_of_jax(shift: str, conforms: bool, tmp_path: Path) -> None:
    needs("jax")
    file = tmp_path / "mine.py"
    file.write_text(JAX_SOFTMAX.format(shift=shift), encoding="utf-8")
    report = dlcheck.check(f"{file}:softmax", "softmax", examples=2, timeout=TIMEOUT)
    assert report.conforms == conforms, str(report)
    statuses = {check.id: check.status for check in report.checks}
    assert statuses["activations.softmax.gradient"] == "pass"
    assert statuses["activations.softmax.extremes"] == ("pass" if conforms else "fail")


OBJECTS_OF_JAX = """
import jax, torch, dlcheck
from dlcheck.conformance.implementation import Refused

def mine(x):
    return jax.numpy.maximum(x, 0)

assert dlcheck.check(mine, "relu", examples=0, timeout=120).conforms
jax.numpy.ones(3) + 1
for code in (mine, jax.nn.relu):
    try:
        dlcheck.check(code, "relu", examples=0)
    except Refused as refused:
        print(refused)
assert dlcheck.check(torch.relu, "relu", examples=0, timeout=120).conforms
"""


@pytest.mark.peers
def test_an_object_of_jax_is_refused_once_jax_has_run(tmp_path: Path) -> None:
    needs("jax")
    file = tmp_path / "objects.py"
    file.write_text(OBJECTS_OF_JAX, encoding="utf-8")
    run = subprocess.run([sys.executable, "-W", "ignore", file], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    refusals = run.stdout.splitlines()
    assert [line.partition(" uses JAX, which has run in this process")[0] for line in refusals] == ["mine", "relu"]
    assert all(line.endswith("give it by name, file.py:name or package.module:name") for line in refusals)


@pytest.mark.peers
@pytest.mark.parametrize(
    ("target", "component"),
    [
        ("keras.activations:relu", "relu"),
        ("keras.layers:Dense", "linear"),
        ("keras.losses:MeanSquaredError", "mse_loss"),
        ("keras.initializers:GlorotUniform", "xavier_uniform_"),
        ("keras.optimizers:SGD", "sgd"),
    ],
)
def test_keras_runs_on_jax(target: str, component: str, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("keras")
    needs("jax")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    report = dlcheck.check(target, component, examples=0, timeout=TIMEOUT)
    assert report.conforms, str(report)


@pytest.mark.peers
def test_keras_runs_on_no_other_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    needs("keras")
    monkeypatch.setenv("KERAS_BACKEND", "numpy")
    with pytest.raises(Refused, match="Keras runs on numpy, expected KERAS_BACKEND=torch or KERAS_BACKEND=jax"):
        dlcheck.check("keras.activations:relu", "relu")


@pytest.mark.peers
def test_a_wrong_model_of_onnx_deviates(tmp_path: Path) -> None:
    needs("onnx")
    needs("onnxruntime")
    from dlcheck.suite import onnx_models

    report = dlcheck.check(str(onnx_models.write("Hardmax", tmp_path)), "softmax", examples=0, timeout=TIMEOUT)
    statuses = {check.id: check.status for check in report.checks}
    assert statuses["activations.softmax.values"] == "fail"
    assert statuses["activations.softmax.gradient"] == "not_provided"


def test_onnx_file_is_missing() -> None:
    with pytest.raises(Refused, match=r"no file 'missing\.onnx'"):
        dlcheck.check("missing.onnx", "softmax")
