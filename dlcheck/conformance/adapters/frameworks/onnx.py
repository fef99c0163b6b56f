"""ONNX models as NumPy functions, run by onnxruntime: values only."""

import inspect
from pathlib import Path
from typing import Any

import onnxruntime  # type: ignore[import-not-found]
from numpy.typing import NDArray

from dlcheck.conformance.implementation import Misbehaviour, NotProvided, Refused

_DTYPES = {"tensor(double)": "float64", "tensor(float)": "float32", "tensor(int64)": "int64", "tensor(int32)": "int32"}
"""NumPy's names of the dtypes that a model may be given."""


class Model:
    """A model file; called with arrays in the order of the graph's inputs, or by their names."""

    def __init__(self, path: Path):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what fails is raised, and need not be printed too
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise Refused(f"{path} is no model that onnxruntime can load: {error}") from error
        self.__name__ = path.stem
        self._inputs = {each.name: each for each in self._session.get_inputs()}
        unknown = [f"{name} is a {each.type}" for name, each in self._inputs.items() if each.type not in _DTYPES]
        if unknown:
            raise Refused(f"{path}: the input {unknown[0]}, expected {' or '.join(_DTYPES)}")
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        names = [name if name.isidentifier() else f"input_{place}" for place, name in enumerate(self._inputs)]
        self.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in names])

    takes_arrays = True

    @property
    def widest(self) -> str:
        """The floating-point dtype that it computes in."""
        return next((name for name in map(self._dtype, self._inputs) if name.startswith("float")), "float32")

    def _dtype(self, name: str) -> str:
        return _DTYPES[self._inputs[name].type]

    def __call__(self, *arrays: NDArray[Any], **further: NDArray[Any]) -> Any:
        """The first output; raises NotProvided for arrays of a shape or dtype that the graph does not take."""
        given = inspect.signature(self).bind(*arrays, **further).arguments
        fed = dict(zip(self._inputs, given.values(), strict=True))
        for name, values in fed.items():
            self._expect(name, values)
        outputs = self._session.run(None, {name: values.astype(self._dtype(name), "C") for name, values in fed.items()})
        if not outputs:
            raise Misbehaviour("the graph has no output")
        return outputs[0]

    def _expect(self, name: str, values: NDArray[Any]) -> None:
        declared = self._inputs[name].shape
        axes = zip(declared, values.shape, strict=False)
        fits = len(declared) == values.ndim and all(not isinstance(size, int) or size == own for size, own in axes)
        if declared and not fits:  # a model may leave the shape open, which reads as no axes
            raise NotProvided(f"its input {name} has shape {declared}, not {list(values.shape)}")
        if values.dtype.kind == "f" and values.dtype.name != self._dtype(name):
            raise NotProvided(f"it computes in {self._dtype(name)}")
