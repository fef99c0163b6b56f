"""What code shares with everything else in its process: whether a run leaves it as it was, and back to what it was."""

import ctypes
import gc
import locale
import os
import random
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np

from dlcheck.component import Case
from dlcheck.conformance.implementation import Observation

_MT19937 = 2504
"""Bytes of the state of NumPy's global generator."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGSEGV, signal.SIGCHLD)


@dataclass(frozen=True, slots=True)
class _State:
    """Something that a caller may have set; ``imported``: libraries set it too, when they are imported."""

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], object]
    imported: bool = False


@dataclass(frozen=True, slots=True)
class _Generator:
    """A generator of random numbers that everybody draws from."""

    name: str
    state: Callable[[], int]
    draw: Callable[[], object]


class Surroundings:
    """The process around a target, from before its code was loaded."""

    def __init__(self) -> None:
        self._names = {owner: dict(vars(owner)) for owner in _patchable()}
        self._led_to: dict[tuple[str, int], int] = {}

    def watch(self, run: Callable[[Case], Observation], case: Case) -> Observation:
        """Run one case, without its warnings, and put back what it changed; raises what ``run`` does.

        The observation has the fact "surroundings": what the run did to them in words, "" where nothing.
        """
        with warnings.catch_warnings(), np.errstate():
            warnings.simplefilter("ignore")
            states, modules = _states(), len(sys.modules)
            before = [state.read() for state in states]
            generators = [(generator, generator.state()) for generator in _generators()]
            try:
                seen = run(case)
            finally:
                imported = len(sys.modules) > modules
                changed = [state.name for state in _put_back(states, before) if not (imported and state.imported)]
                changed += self._replaced(imported)
                seeded = [found.name for found, state in generators if self._is_seeded(found, state)]
        did = [f"{verb} {', '.join(what)}" for verb, what in (("changes", changed), ("seeds", seeded)) if what]
        return replace(seen, facts={"surroundings": " and ".join(did), **seen.facts})

    def _replaced(self, imported: bool) -> list[str]:
        """The functions of libraries that were replaced, put back; what a library's import did to itself is kept."""
        found: list[str] = []
        for owner, names in self._names.items():
            now = vars(owner)
            if _same(now, names):
                continue
            for name in [name for name in {**names, **now} if _shadowed(owner, name, names)]:
                if imported and _package(now.get(name)) == _package(owner):
                    continue
                found.append(f"{_path(owner)}.{name}")
                setattr(owner, name, names[name]) if name in names else delattr(owner, name)
            self._names[owner] = dict(vars(owner))
        return found

    def _is_seeded(self, generator: _Generator, before: int) -> bool:
        """Whether it was taken to a state that another one led to before, which drawing from it never does."""
        after = generator.state()
        if after == before:
            return False
        generator.draw()  # so that the next run starts from another state
        return self._led_to.setdefault((generator.name, after), before) != before


def _patchable() -> Iterator[Any]:
    """Modules and classes whose functions are everybody's, as far as they are loaded."""
    of_python = ("builtins", "json", "math", "operator", "os", "random", "time")
    of_numpy = ("numpy", "numpy.linalg", "numpy.random", "numpy.testing")
    of_torch = ("torch", "torch.autograd", "torch.nn.functional", "torch.linalg", "torch.testing")
    yield from (sys.modules[name] for name in (*of_python, *of_numpy, *of_torch) if name in sys.modules)
    if torch := sys.modules.get("torch"):
        yield from (torch.Tensor, torch.nn.Module)


def _same(now: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    try:
        return [*now.values()] == [*before.values()]  # in no time where they are identical
    except Exception:
        return False


def _shadowed(owner: Any, name: str, names: Mapping[str, Any]) -> bool:
    """Whether a name stands for something else than it did, by a new name in a class for one that it inherits too."""
    inherited = isinstance(owner, type) and any(name in vars(base) for base in owner.__mro__[1:])
    now, before = vars(owner).get(name), names.get(name)
    return now is not before and not _wraps(owner, now, before) if name in names else inherited


def _wraps(owner: Any, now: Any, before: Any) -> bool:
    """Whether a function was wrapped by its own library, as torch wraps manual_seed once torch._dynamo is loaded."""
    package = sys.modules[_path(owner).partition(".")[0]]
    file = getattr(getattr(now, "__code__", None), "co_filename", "")
    by_itself = any(file.startswith(place + os.sep) for place in getattr(package, "__path__", ()))
    return by_itself and getattr(now, "__wrapped__", None) is before


def _package(owner: Any) -> str:
    return str(getattr(owner, "__module__", None) or getattr(owner, "__name__", "")).partition(".")[0]


def _path(owner: Any) -> str:
    names = {"Tensor": "torch.Tensor", "Module": "torch.nn.Module"}
    return names[owner.__name__] if isinstance(owner, type) else owner.__name__


def _states() -> tuple[_State, ...]:
    return _all_states("torch" in sys.modules)


@cache
def _all_states(with_torch: bool) -> tuple[_State, ...]:
    return (
        _State("the working directory", os.getcwd, os.chdir),
        _State("environment variables", _environment, _set_environment, imported=True),
        _State("the filters of warnings", lambda: list(warnings.filters), lambda _: None, imported=True),
        _State("how NumPy handles floating-point errors", np.geterr, lambda held: np.seterr(**held)),
        _State("the handlers of signals", _handlers, _set_handlers, imported=True),
        _State("the timer of alarms", lambda: signal.getitimer(signal.ITIMER_REAL) != (0.0, 0.0), _stop_timer),
        _State("the trace function", sys.gettrace, sys.settrace),
        _State("the hook of exceptions", lambda: sys.excepthook, partial(setattr, sys, "excepthook"), imported=True),
        _State("standard output", lambda: sys.stdout, partial(setattr, sys, "stdout")),
        _State("garbage collection", gc.isenabled, lambda held: gc.enable() if held else gc.disable()),
        _State("the mask of new files", _mask, os.umask),
        _State("the locale", lambda: locale.setlocale(locale.LC_ALL), partial(locale.setlocale, locale.LC_ALL)),
        *(_of_torch() if with_torch else ()),
    )


def _of_torch() -> tuple[_State, ...]:
    import torch

    return (
        _State("torch's default dtype", torch.get_default_dtype, torch.set_default_dtype),
        _State("torch's default device", torch.get_default_device, _set_default_device),
        _State("whether torch records gradients", torch.is_grad_enabled, torch.set_grad_enabled),
        _State("torch's number of threads", torch.get_num_threads, torch.set_num_threads),
        _State(
            "whether torch's algorithms are deterministic",
            torch.get_deterministic_debug_mode,
            torch.set_deterministic_debug_mode,
        ),
        _State(
            "torch's precision of float32 products",
            torch.get_float32_matmul_precision,
            torch.set_float32_matmul_precision,
        ),
        _State("torch's detection of anomalies", torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    )


def _set_default_device(device: Any) -> None:
    import torch

    torch.set_default_device(None if device.type == "cpu" else device)


def _handlers() -> list[Any]:
    return [signal.getsignal(number) for number in _SIGNALS]


def _set_handlers(held: list[Any]) -> None:
    for number, handler in zip(_SIGNALS, held, strict=True):
        signal.signal(number, handler)


def _stop_timer(_: bool) -> None:
    signal.setitimer(signal.ITIMER_REAL, 0.0)


def _mask() -> int:
    held = os.umask(0o077)
    os.umask(held)
    return held


def _environment() -> dict[bytes, bytes]:
    # as they are held: decoding them would take longer than most runs
    return dict(vars(os.environ)["_data"])


def _set_environment(held: dict[bytes, bytes]) -> None:
    for name in os.environb.keys() - held.keys():
        del os.environb[name]
    os.environb.update(held)


def _put_back(states: tuple[_State, ...], before: list[Any]) -> list[_State]:
    """The states that a run changed, which then are as before."""
    changed = [state for state, held in zip(states, before, strict=True) if state.read() != held]
    for state, held in zip(states, before, strict=True):
        if state in changed:
            state.write(held)
    return changed


def _generators() -> tuple[_Generator, ...]:
    return _all_generators("torch" in sys.modules)


@cache
def _all_generators(with_torch: bool) -> tuple[_Generator, ...]:
    found = (
        _Generator("Python's global generator", lambda: hash(random.getstate()), random.random),
        _Generator("NumPy's global generator", _state_of_numpy, np.random.random_sample),
    )
    if not with_torch:
        return found
    import torch

    of_torch = lambda: hash(torch.get_rng_state().numpy().tobytes())  # noqa: E731
    return (*found, _Generator("torch's global generator", of_torch, lambda: torch.rand(())))


def _state_of_numpy() -> int:
    generator = np.random.get_bit_generator()  # type: ignore[attr-defined]
    if type(generator) is not np.random.MT19937:
        return hash(str(generator.state))
    # from where it lies: ``get_state`` takes a hundred times as long
    return hash(ctypes.string_at(generator.ctypes.state_address, _MT19937))  # type: ignore[arg-type]
