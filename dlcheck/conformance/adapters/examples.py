"""Which example of a batch each number belongs to, while tensors change their shape."""

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree

from dlcheck.conformance.adapters.tracing import Record, Ref

_TURNING = ("permute", "transpose", "t", "movedim", "swapaxes")
"""What may turn the batch into another dimension."""


class Examples:
    """Follows changes of shape from the first that the batch may not survive."""

    def __init__(self, records: Sequence[Record]):
        self.records = records
        self._owners: dict[int, torch.Tensor] = {}

    def follow(self, number: int, record: Record) -> None:
        """Say that a record is a change of shape alone."""
        source = record.sources[0]
        before = self.records[source].shape
        kept = record.name.rstrip("_") not in _TURNING and record.shape[:1] == before[:1]
        if not before or (kept and source not in self._owners):
            return
        try:
            owners = self._after(record, self._owners.get(source, _in_order(before)))
        except Exception:  # what cannot be followed is no known mistake
            return
        if not owners.equal(_in_order(record.shape)):
            self._owners[number] = owners

    def _after(self, record: Record, owners: torch.Tensor) -> torch.Tensor:
        def argument(value: Any) -> Any:
            return owners if isinstance(value, Ref) else value

        with torch.device("cpu"):
            args, keywords = pytree.tree_map(argument, (record.args, dict(record.keywords)))
            return record.function(*args, **keywords)

    def mixed(self, number: int) -> bool:
        """Whether a row of a record holds numbers of several examples."""
        owners = self._owners.get(number)
        return owners is not None and bool((owners.flatten(1) != owners.flatten(1)[:, :1]).any())


def _in_order(shape: tuple[int, ...]) -> torch.Tensor:
    with torch.device("cpu"):
        return torch.arange(shape[0]).view(-1, *(1,) * (len(shape) - 1)).expand(shape).contiguous()
