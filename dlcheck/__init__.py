"""Is this deep-learning component right, which convention does it follow, and if it is wrong, what is the mistake?"""

import importlib
from typing import Any

_PUBLIC = {
    "check": "dlcheck.conformance.check",
    "conformance_tests": "dlcheck.conformance.items",
    "claim": "dlcheck.judgement",
    "components": "dlcheck.registry",
    "claims": "dlcheck.registry",
}
"""Public names and their homes; loaded when first used, so that the import itself costs nothing."""


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'dlcheck' has no attribute {name!r}; public are {', '.join(_PUBLIC)}")


def __dir__() -> list[str]:
    return [*globals(), *_PUBLIC]
