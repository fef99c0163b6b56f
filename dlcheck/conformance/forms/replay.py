"""What the snippets of all forms share: arrays and keywords as Python text."""

from typing import Any

import numpy as np

from dlcheck.component import Case


def tensor(value: Any, case: Case) -> str:
    """An array of a case as a tensor, every digit of it; numbers of the case's dtype, integers as they are."""
    values = np.asarray(value)
    dtype = f", dtype=torch.{case.dtype}" if values.dtype.kind == "f" else ""
    numbers = repr(values.tolist()) if values.size else f"np.empty({values.shape})"
    return f"torch.tensor({numbers}{dtype})"


def keywords(case: Case) -> str:
    """The settings of a case as further arguments of a call."""
    return "".join(f", {name}={value!r}" for name, value in case.settings.items())
