"""ONNX models of one operator each, for onnxruntime to run."""

from pathlib import Path
from typing import Any

_OPERATORS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "PRelu": (("x", "weight"), {}),
    "Gemm": (("x", "weight", "bias"), {"transB": 1}),
    "Conv": (("x", "weight", "bias"), {}),
    "MaxPool": (("x",), {"kernel_shape": [2, 2], "strides": [2, 2]}),
    "AveragePool": (("x",), {"kernel_shape": [2, 2], "strides": [2, 2]}),
    "LRN": (("x",), {"size": 5}),
}
"""The inputs and attributes of operators that need more than one input x."""


def write(operator: str, folder: Path) -> Path:
    """A file with a float32 model of an operator, its inputs of any shape."""
    import onnx  # type: ignore[import-not-found]

    inputs, attributes = _OPERATORS.get(operator, (("x",), {}))
    helper = onnx.helper
    arrays = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in (*inputs, "output")]
    node = helper.make_node(operator, inputs, ["output"], **attributes)
    graph = helper.make_graph([node], operator, arrays[:-1], arrays[-1:])
    path = folder / f"{operator}.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path
