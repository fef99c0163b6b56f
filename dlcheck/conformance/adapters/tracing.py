"""What a module does, seen operation by operation: a record of every tensor function that its input goes through."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

WHOLE = frozenset(
    ("local_response_norm", "dropout", "dropout_", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout",
     "feature_dropout", "feature_alpha_dropout", "scaled_dot_product_attention")
)  # fmt: skip
"""Functions that are recorded by name, not by what they are made of."""
STOPPED = "stopped"
"""The name of a record that hands on what it is given, but no gradient back."""


@dataclass(frozen=True, slots=True)
class Ref:
    """In the arguments of a record: the result of another record."""

    record: int


@dataclass(slots=True)
class Record:
    """One function that something traced went through: its arguments, with a Ref for each traced tensor."""

    name: str
    function: Callable[..., Any]
    args: Sequence[Any]
    keywords: Mapping[str, Any]
    shape: tuple[int, ...]
    sources: list[int] = field(default_factory=list)


class Trace:
    """The records of one call, in order; record 0 is the input."""

    def __init__(self, image: torch.Tensor):
        self.records = [Record("image", lambda: None, (), {}, tuple(image.shape))]
        self._views: dict[int, dict[tuple[Any, ...], int]] = {}
        self._learned: set[int] = set()
        self._ungraded: set[int] = set()
        self._alive: list[torch.Tensor] = []
        self.place(image, 0)

    def place(self, tensor: torch.Tensor, record: int) -> None:
        """Say which record a tensor is the result of."""
        self._views.setdefault(memory(tensor), {})[_view(tensor)] = record
        # memory that is freed would be used again for other tensors
        self._alive.append(tensor)

    def overwrite(self, tensor: torch.Tensor, record: int) -> None:
        """Say that a tensor's memory now holds the result of a record: whoever holds a view of it sees that."""
        known = self._views.get(memory(tensor), {})
        for view, old in known.items():
            known[view] = self._changed(old, record)
        self.place(tensor, record)

    def _changed(self, old: int, new: int) -> int:
        """A record of what a tensor is once all of it, or a part, has been overwritten under another shape."""
        shape, own = self.records[new].shape, self.records[old].shape
        if math.prod(shape) < math.prod(own):
            return self._made("assigned", lambda whole, part: whole, [old, new], own)
        if math.prod(shape) == math.prod(own) and shape != own:
            return self._made("view", lambda x: x.view(own), [new], own)
        return new

    def _made(self, name: str, function: Callable[..., Any], sources: list[int], shape: tuple[int, ...]) -> int:
        self.records.append(Record(name, function, tuple(map(Ref, sources)), {}, shape, sources))
        return len(self.records) - 1

    def find(self, tensor: torch.Tensor) -> int | None:
        """The record that a tensor is the result of; None where the input did not go into it."""
        known = self._views.get(memory(tensor), {})
        return known.get(_view(tensor), next(iter(known.values()), None))

    def read(self, tensor: torch.Tensor) -> int | None:
        """The same, for something that a gradient should go back from: a record of STOPPED where it ends there."""
        record = self.find(tensor)
        if record is None or tensor.requires_grad or not tensor.is_floating_point() or not torch.is_grad_enabled():
            return record
        if record in self._learned and (record in self._ungraded or self.records[record].name == "detach"):
            return self._made(STOPPED, lambda x: x, [record], tuple(tensor.shape))
        return record

    def constants(self, outputs: Sequence[int]) -> list[torch.Tensor]:
        """The tensors, not made of the input, that went into some records, once for each use."""
        found, waiting = set(outputs), list(outputs)
        while waiting:
            new = set(self.records[waiting.pop()].sources) - found
            found |= new
            waiting += new
        given = [pytree.tree_leaves((self.records[i].args, dict(self.records[i].keywords))) for i in sorted(found)]
        return [value for values in given for value in values if isinstance(value, torch.Tensor)]

    def note(self, name: str, function: Callable[..., Any], args: Any, keywords: Any, result: Any) -> None:
        """Record a call where something traced went in and a tensor came out."""
        flat, spec = pytree.tree_flatten((args, keywords))
        found = [self.read(value) if isinstance(value, torch.Tensor) else None for value in flat]
        sources = [record for record in found if record is not None]
        outputs = [value for value in pytree.tree_leaves(result) if isinstance(value, torch.Tensor)]
        if not sources or not outputs:
            return
        given = [value if record is None else Ref(record) for value, record in zip(flat, found, strict=True)]
        args, keywords = pytree.tree_unflatten(given, spec)
        number = len(self.records)
        self.records.append(Record(name, function, args, keywords, tuple(outputs[0].shape), sources))
        learned = any(isinstance(value, torch.Tensor) and value.requires_grad for value in flat)
        if learned or not self._learned.isdisjoint(sources):
            self._learned.add(number)
            if not torch.is_grad_enabled():
                self._ungraded.add(number)
        in_place = any(outputs[0] is value for value in flat)
        for position, output in enumerate(outputs):
            if position and isinstance(result, list):  # chunks: each is its own part
                number = len(self.records)
                part = f"{name}[{position}]"
                self.records.append(Record(part, function, args, keywords, tuple(output.shape), sources))
            self.overwrite(output, number) if in_place else self.place(output, number)


def memory(tensor: torch.Tensor) -> int:
    """What tensors that share their numbers have in common."""
    return tensor.untyped_storage()._cdata


def _view(tensor: torch.Tensor) -> tuple[Any, ...]:
    return tensor.storage_offset(), tuple(tensor.shape), tensor.stride()


class _Operations(TorchDispatchMode):
    """Records the operations that functions are made of."""

    def __init__(self, trace: Trace):
        super().__init__()
        self.trace, self.silent = trace, False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        shortcut = _SHORTCUTS.get(name) if args and _has_no_numbers(args[0]) else None
        result = shortcut(*args) if shortcut else func(*args, **(kwargs or {}))
        if not self.silent:
            self.trace.note(name, func, args, kwargs or {}, result)
        return result


def _has_no_numbers(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.is_meta


def _normalized_shapes(x: torch.Tensor, *_: Any) -> tuple[torch.Tensor, ...]:
    return torch.empty_like(x), x.new_empty(x.shape[1]), x.new_empty(x.shape[1])


_SHORTCUTS: Mapping[str, Callable[..., Any]] = {
    "native_batch_norm": _normalized_shapes,
    "relu": torch.empty_like,
    "relu_": lambda x: x,
}
"""What torch works out in Python, and slowly, for tensors without numbers."""


class Zeros(TorchDispatchMode):
    """Which memory was last filled with zeros, as far as what is done in its context shows."""

    def __init__(self) -> None:
        super().__init__()
        self._filled: dict[int, torch.Tensor] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if isinstance(result, torch.Tensor) and (name.endswith("_") or not func.is_view):
            zeros = name in _ZEROS or (name in ("fill_", "full", "full_like") and args[1] == 0)
            self._filled.pop(memory(result), None)
            if zeros:
                self._filled[memory(result)] = result  # kept, for memory that is freed would be used again
        return result

    def found(self) -> frozenset[int]:
        """The memory of all of them."""
        return frozenset(self._filled)


_ZEROS = frozenset(("zero_", "zeros", "zeros_like", "new_zeros"))


class _Functions(TorchFunctionMode):
    """Records the functions of WHOLE, and hides what they are made of."""

    def __init__(self, operations: _Operations):
        super().__init__()
        self.operations = operations

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name not in WHOLE or self.operations.silent:
            return func(*args, **(kwargs or {}))
        self.operations.silent = True
        try:
            result = func(*args, **(kwargs or {}))
        finally:
            self.operations.silent = False
        if result is not args[0] or _changes(name, kwargs or {}):
            self.operations.trace.note(name, func, args, kwargs or {}, result)
        return result


def _changes(name: str, keywords: Mapping[str, Any]) -> bool:
    """Whether a function that returned its argument has changed it in place."""
    return name.endswith("_") or bool(keywords.get("inplace") and keywords.get("training", True))


def traced(module: Callable[..., Any], image: torch.Tensor) -> tuple[Trace, list[int]]:
    """Call a module with an image: the records, and those of them that came out; gradients are followed where enabled.

    Raises TypeError where no tensor came out that the image had gone into.
    """
    trace = Trace(image)
    operations = _Operations(trace)
    with operations, _Functions(operations):
        result = module(image)
    outputs = list(_outputs(trace, result))
    if not outputs:
        raise TypeError(f"it returned a {type(result).__name__} that does not depend on its input")
    return trace, outputs


def _outputs(trace: Trace, result: Any) -> Iterator[int]:
    for value in pytree.tree_leaves(result):
        record = trace.read(value) if isinstance(value, torch.Tensor) else None
        if record is not None:
            yield record
