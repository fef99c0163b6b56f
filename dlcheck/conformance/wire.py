"""Messages between the tool and a target's process: JSON and raw arrays, never pickles of a stranger's making."""

import io
import json
from typing import Any

import numpy as np


def encode(message: Any) -> bytes:
    """Plain values, nested, with float and integer arrays among them, as bytes."""
    arrays: list[np.ndarray[Any, Any]] = []

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            arrays.append(value)
            return {"array": len(arrays) - 1}
        if isinstance(value, dict):
            return {"dict": [[key, plain(inner)] for key, inner in value.items()]}
        if isinstance(value, (list, tuple)):
            return {type(value).__name__: [plain(inner) for inner in value]}
        return value.item() if isinstance(value, np.generic) else value

    head = json.dumps(plain(message)).encode()
    body = io.BytesIO()
    for array in arrays:
        np.save(body, array, allow_pickle=False)
    return len(head).to_bytes(8, "little") + head + body.getvalue()


def decode(data: bytes) -> Any:
    """The message that was encoded."""
    size = int.from_bytes(data[:8], "little")
    body = io.BytesIO(data[8 + size :])
    arrays: list[Any] = []

    def rich(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        (kind, inner), *_ = value.items()
        if kind == "array":
            while len(arrays) <= inner:
                arrays.append(np.load(body, allow_pickle=False))
            return arrays[inner]
        if kind == "dict":
            return {key: rich(member) for key, member in inner}
        members = [rich(member) for member in inner]
        return tuple(members) if kind == "tuple" else members

    return rich(json.loads(data[8 : 8 + size]))
