"""Other people's implementations, judged as a user would judge them: right, and their conventions named."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

import dlcheck
from dlcheck.conformance.implementation import Refused

TORCH = {"epsilon": "outside_sqrt", "weight_decay": "coupled"}
KERAS_BATCH_NORM = {"momentum": "old_0.99", "running_variance": "biased", "default_eps": "1e-3", "one_value": "bias"}
OPTAX_ADAGRAD = {"epsilon": "inside_sqrt", "default_initial_accumulator_value": "0.1", "default_eps": "1e-7"}


def needs(library: str) -> None:
    """Skip where a library is missing; it is imported by the process of the target only."""
    if not importlib.util.find_spec(library):
        pytest.skip(f"{library} is not installed")


def conventions_of(target: str, component: str, settings: dict[str, Any]) -> dict[str, str]:
    """The conventions that a conforming target follows."""
    report = dlcheck.check(target, component, settings=settings, examples=5)
    assert report.conforms, str(report)
    return dict(report.conventions)


@pytest.mark.parametrize(
    ("target", "component", "settings", "followed"),
    [
        ("torch.optim:SGD", "sgd", {}, {"velocity": "outside", "weight_decay": "coupled"}),
        ("torch.optim:SGD", "sgd", {"momentum": 0.9}, {"velocity": "outside", "dampening": "undamped_first"}),
        ("torch.optim:SGD", "sgd", {"momentum": 0.9, "nesterov": True}, {"velocity": "outside"}),
        ("torch.optim:Adagrad", "adagrad", {}, {**TORCH, "default_initial_accumulator_value": "0"}),
        ("torch.optim:RMSprop", "rmsprop", {}, {**TORCH, "initial": "zero", "default_alpha": "0.99"}),
        ("torch.optim:Adadelta", "adadelta", {}, {"default_rho": "0.9", "weight_decay": "coupled"}),
        ("torch.optim:Adam", "adam", {}, {**TORCH, "bias_correction": "on", "amsgrad": "raw"}),
        ("torch.optim:Adam", "adam", {"amsgrad": True}, {"amsgrad": "raw"}),
        ("torch.optim:AdamW", "adamw", {}, {"epsilon": "outside_sqrt", "weight_decay": "scaled_by_lr"}),
        ("torch.nn.functional:softmax", "softmax", {}, {}),
        ("torch.nn:PReLU", "prelu", {}, {}),
        ("torch.nn.init:kaiming_uniform_", "kaiming_uniform_", {}, {}),
    ],
)
def test_torch(target: str, component: str, settings: dict[str, Any], followed: dict[str, str]) -> None:
    found = conventions_of(target, component, settings)
    assert {axis: found.get(axis) for axis in followed} == followed


@pytest.mark.peers
@pytest.mark.skipif(not importlib.util.find_spec("optax"), reason="optax is not installed")
@pytest.mark.parametrize(
    ("component", "settings", "followed"),
    [
        ("sgd", {}, {}),
        ("sgd", {"momentum": 0.9}, {}),
        ("sgd", {"momentum": 0.9, "nesterov": True}, {}),
        ("adam", {}, {"epsilon": "outside_sqrt", "bias_correction": "on", "default_eps": "1e-8"}),
        ("adam", {"nesterov": False, "eps_root": 0.0}, {"epsilon": "outside_sqrt"}),
        ("adamw", {}, {"weight_decay": "scaled_by_lr", "default_weight_decay": "0.0001"}),
        ("adagrad", {}, OPTAX_ADAGRAD),
        ("rmsprop", {}, {"epsilon": "inside_sqrt", "initial": "zero", "default_alpha": "0.9"}),
        ("rmsprop", {"eps_in_sqrt": False}, {"epsilon": "outside_sqrt"}),
        ("adadelta", {}, {"weight_decay": "coupled", "default_rho": "0.9"}),
    ],
)
def test_optax(component: str, settings: dict[str, Any], followed: dict[str, str]) -> None:
    found = conventions_of(f"optax:{component}", component, settings)
    assert {axis: found.get(axis) for axis in followed} == followed


@pytest.mark.peers
@pytest.mark.parametrize(
    ("target", "component", "followed"),
    [
        ("jax.nn:softmax", "softmax", {"default_axis": "last"}),
        ("jax.nn:leaky_relu", "leaky_relu", {"default_slope": "0.01", "gradient_at_zero": "one"}),
        ("jax.nn.initializers:glorot_uniform", "xavier_uniform_", {"fan": "average"}),
        ("optax.losses:squared_error", "mse_loss", {"scale": "none"}),
        ("equinox.nn:Linear", "linear", {}),
        ("flax.linen:Dense", "linear", {}),
        ("keras.activations:relu", "relu", {"gradient_at_zero": "0", "nan": "propagates"}),
        ("keras.activations:softmax", "softmax", {"default_axis": "last"}),
        ("keras.activations:leaky_relu", "leaky_relu", {"default_slope": "0.2", "gradient_at_zero": "slope"}),
        ("keras.layers:Dense", "linear", {}),
        ("keras.layers:Conv2D", "conv2d", {"kernel": "cross_correlation", "same_padding": "end"}),
        ("keras.layers:MaxPooling2D", "max_pool2d", {"ties": "first", "nan": "propagates"}),
        ("keras.layers:AveragePooling2D", "avg_pool2d", {"default_rounding": "floor"}),
        ("keras.layers:GlobalAveragePooling2D", "global_avg_pool2d", {"spatial_axes": "dropped"}),
        ("keras.layers:PReLU", "prelu", {}),
        ("keras.layers:BatchNormalization", "batch_norm", KERAS_BATCH_NORM),
        ("keras.layers:LSTM", "lstm", {"time_axis": "second", "biases": "one", "padded_output": "repeated"}),
        ("keras.layers:GRU", "gru", {"reset": "after", "update": "keeps", "biases": "two"}),
        ("keras.layers:SimpleRNN", "rnn", {"time_axis": "second", "biases": "one", "padded_output": "repeated"}),
        ("keras.losses:MeanSquaredError", "mse_loss", {"scale": "mean"}),
        ("keras.losses:MeanAbsoluteError", "l1_loss", {"gradient_at_zero": "0"}),
        ("keras.losses:BinaryCrossentropy", "binary_cross_entropy_with_logits", {"default_reduction": "mean"}),
        ("keras.losses:Huber", "huber_loss", {"default_reduction": "mean"}),
        ("keras.optimizers:SGD", "sgd", {"velocity": "inside", "weight_decay": "decoupled", "default_lr": "0.01"}),
        (
            "keras.optimizers:RMSprop",
            "rmsprop",
            {"epsilon": "inside_sqrt", "velocity": "inside", "default_alpha": "0.9"},
        ),
        ("keras.optimizers:Adagrad", "adagrad", {"epsilon": "inside_sqrt", "default_initial_accumulator_value": "0.1"}),
        ("keras.optimizers:Adadelta", "adadelta", {"default_rho": "0.95", "default_eps": "1e-7"}),
        ("keras.initializers:GlorotUniform", "xavier_uniform_", {"fan": "average"}),
        ("keras.initializers:RandomNormal", "normal_", {"default_scale": "0.05"}),
        ("keras.initializers:Orthogonal", "orthogonal_", {"route": "qr"}),
    ],
)
def test_frameworks(target: str, component: str, followed: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    needs(target.partition(".")[0])
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    found = conventions_of(target, component, {"layout": "keras"} if component in ("lstm", "gru", "rnn") else {})
    assert {axis: found.get(axis) for axis in followed} == followed


@pytest.mark.peers
@pytest.mark.parametrize(
    ("target", "component", "known"),
    [
        # 1 - beta_2^t is worked out in the parameters' dtype: few digits of it are left in float32, none in bfloat16
        ("keras.optimizers:Adam", "adam", {"first_step", "half"}),
        ("keras.optimizers:AdamW", "adamw", {"first_step", "half"}),
        # it limits probabilities to [1e-7, 1]
        ("keras.losses:KLDivergence", "kl_div", {"extremes"}),
        # losses of no example are returned as they are, unreduced
        ("keras.losses:SparseCategoricalCrossentropy", "cross_entropy", {"shapes"}),
    ],
)
def test_deviations_of_keras(target: str, component: str, known: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    needs("keras")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    report = dlcheck.check(target, component, examples=5)
    found = {finding.check.rpartition(".")[2] for finding in report.findings if finding.severity == "error"}
    assert found == known, str(report)


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
    report = dlcheck.check(f"{file}:softmax", "softmax", examples=2)
    assert report.conforms == conforms, str(report)
    statuses = {check.id: check.status for check in report.checks}
    assert statuses["activations.softmax.gradient"] == "pass"
    assert statuses["activations.softmax.extremes"] == ("pass" if conforms else "fail")


@pytest.mark.peers
@pytest.mark.parametrize(("operator", "conforms"), [("Softmax", True), ("Hardmax", False)])
def test_onnx(operator: str, conforms: bool, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in ("x", "y")]
    graph = onnx.helper.make_graph([onnx.helper.make_node(operator, ["x"], ["y"])], "model", values[:1], values[1:])
    opset = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / "model.onnx")
    report = dlcheck.check(str(tmp_path / "model.onnx"), "softmax", examples=2)
    assert report.conforms == conforms, str(report)
    statuses = {check.id: check.status for check in report.checks}
    assert statuses["activations.softmax.gradient"] == "not_provided"
    if conforms:
        assert report.conventions == {"default_axis": "last"}


def test_onnx_file_is_missing() -> None:
    with pytest.raises(Refused, match=r"no file 'missing\.onnx'"):
        dlcheck.check("missing.onnx", "softmax")
