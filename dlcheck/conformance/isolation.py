"""Run a stranger's code in its own process: time-out, memory limit, crashes contained, output captured."""

import atexit
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from multiprocessing.connection import Connection, Pipe
from multiprocessing.reduction import send_handle
from typing import IO, Any

from dlcheck.component import Case, Component
from dlcheck.conformance import wire, worker
from dlcheck.conformance.arguments import called
from dlcheck.conformance.implementation import GIVEN_UP, Implementation, Misbehaviour, NotProvided, Observation, Refused

ATTEMPTS = 3
"""Times that a target's process may be lost before it is given no further cases."""
LOADING = 60.0
"""Seconds that a target may take until it can be called, which may import much."""
_LONGEST = 1 << 30
"""Bytes that an answer may have; garbage in the pipe announces more."""
_CUT_OFF = "it closes or writes to files that are not its own, the pipe on which it answers among them"


class _Nursery:
    """A process that has imported torch, and forks one for each target that is named."""

    def __init__(self) -> None:
        self._connection, there = Pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "dlcheck.conformance.worker", str(there.fileno())],
            pass_fds=[there.fileno()],
            stdin=subprocess.DEVNULL,
            env=_environment(),
        )
        there.close()
        atexit.register(self._close)

    def lost(self) -> bool:
        """Whether it is there no more."""
        return self._process.poll() is not None

    def fork(self, connection: Connection, output: int, code: str, request: Mapping[str, Any]) -> int:
        """As ``worker.fork``."""
        self._connection.send_bytes(wire.encode({**request, "target": code}))
        for file in (connection.fileno(), output):
            send_handle(self._connection, file, self._process.pid)
        return wire.decode(self._connection.recv_bytes())

    def ended(self, number: int) -> int | None:
        """As ``worker.ended``."""
        try:
            self._connection.send_bytes(wire.encode(number))
            return wire.decode(self._connection.recv_bytes())
        except (EOFError, OSError):
            return None

    def _close(self) -> None:
        self._connection.close()
        self._process.kill()  # it may be importing; there are no targets any more
        self._process.wait()


@cache
def _nursery(_process: int) -> _Nursery:
    """The nursery of the process of that number: a fork of this one needs another."""
    return _Nursery()


def _environment() -> dict[str, str]:
    """That of a target's process: this one's, one thread, no warnings, other frameworks as they are judged."""
    own = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "JAX_ENABLE_X64": "1", "PYTHONWARNINGS": "ignore"}
    return {"KERAS_BACKEND": "torch", **os.environ, **own}


class Isolated(Implementation):
    """A target behind a process boundary, restarted after a crash or a time-out.

    ``code`` is the text ``file.py:name`` (run in a process that has nothing of this one) or an object (run in a fork
    of this one).
    """

    def __init__(
        self, component: Component, code: Any, fixed: Mapping[str, Any], device: str, seed: int, timeout: float
    ) -> None:
        self.component, self.code, self.timeout = component, code, timeout
        self.name = called(code)
        self._request = {"component": component.name, "fixed": dict(fixed), "device": device, "seed": seed}
        self._output: IO[bytes] = tempfile.TemporaryFile()
        self._connection: Connection | None = None
        self._parent: Any = worker
        self._number = 0
        self._ready = False
        self._about: dict[str, Any] = {}
        self._lost = 0
        self._asked = 0

    def start(self) -> None:
        """Start what takes long without waiting for it."""
        if isinstance(self.code, str):
            _nursery(os.getpid())

    def observe(self, case: Case) -> Observation:
        """Run one case in the target's process.

        Raises NotProvided as every implementation, Misbehaviour for what the target did wrong, Refused where there is
        no such target.
        """
        return self._answered(case, again=False)

    def repeat(self, case: Case) -> Observation:
        """Run one case for another time; raises as ``observe``."""
        return self._answered(case, again=True)

    def _answered(self, case: Case, again: bool) -> Observation:
        if self._lost == ATTEMPTS:
            raise Misbehaviour(f"{GIVEN_UP}: its process was lost {ATTEMPTS} times")
        self._await_ready()
        plain = {name: getattr(case, name) for name in Case.__dataclass_fields__}
        self._asked += 1
        question = {"case": plain, "again": again, "number": self._asked}
        try:
            self._connection.send_bytes(wire.encode(question))  # type: ignore[union-attr]
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Misbehaviour(self._ended()) from error
        answer = self._received(self.timeout)
        if answer.get("number") != self._asked:
            self._give_up()
            raise Misbehaviour(_CUT_OFF)
        if "not_provided" in answer:
            raise NotProvided(answer["not_provided"])
        if "failure" in answer:
            raise Misbehaviour(answer["failure"], answer.get("declined", False))
        return Observation(answer["values"], answer["facts"], answer["lacks"])

    def _fork(self) -> None:
        named = isinstance(self.code, str)
        if named and _nursery(os.getpid()).lost():
            _nursery.cache_clear()
        self._parent = _nursery(os.getpid()) if named else worker
        request = {**self._request, "directory": os.getcwd(), "environment": _environment()}
        self._connection, there = Pipe()
        self._number = self._parent.fork(there, self._output.fileno(), self.code, request)
        there.close()
        self._ready = False

    def _await_ready(self) -> None:
        if self._connection is None:
            self._fork()
        if not self._ready:
            try:
                self._about = self._received(max(self.timeout, LOADING))
            except Misbehaviour as misbehaviour:
                if self._about:
                    raise
                raise Refused(f"the target cannot be loaded: {misbehaviour}") from misbehaviour
            self._ready = True

    @property
    def widest(self) -> str:  # type: ignore[override]
        """The widest dtype that the target computes in."""
        if self._lost < ATTEMPTS:
            self._await_ready()
        return self._about.get("widest", "float64")

    @property
    def own_eps(self) -> float | None:  # type: ignore[override]
        """Its default eps where that is nobody else's."""
        return self._about.get("own_eps")

    def _received(self, timeout: float) -> dict[str, Any]:
        connection = self._connection
        assert connection is not None
        try:
            if not connection.poll(timeout):
                self._give_up()
                raise Misbehaviour(f"it did not answer within {timeout:g} seconds")
            message = connection.recv_bytes(_LONGEST)
        except (EOFError, ConnectionResetError) as error:
            raise Misbehaviour(self._ended()) from error
        except OSError:
            message = b""  # garbage that announces more than _LONGEST
        try:
            answer = dict(wire.decode(message))
        except Exception as error:
            self._give_up()
            raise Misbehaviour(_CUT_OFF) from error
        if "refused" in answer:
            raise Refused(answer["refused"])
        if "broken" in answer:
            raise RuntimeError(f"an adapter failed in the target's process:\n{answer['broken']}")
        return answer

    def _ended(self) -> str:
        number, self._number = self._number, 0
        status = self._parent.ended(number)
        self._give_up()
        if status is None or status == -worker.CUT_OFF:
            return _CUT_OFF
        if status < 0:
            return f"it crashed the interpreter (signal {-status})"
        return f"it ended the interpreter (exit status {status})"

    def _give_up(self) -> None:
        self._lost += 1
        self.stop()

    def printed(self) -> str:
        """What the target wrote to its standard output and error so far, the first 2,000 characters."""
        self._output.flush()
        return os.pread(self._output.fileno(), 2000, 0).decode(errors="replace")

    def stop(self) -> None:
        """End the process; the next case starts another."""
        if self._number:
            worker.end(self._number)
            self._parent.ended(self._number)
        if self._connection is not None:
            self._connection.close()
        self._number, self._connection = 0, None

    def close(self) -> None:
        """End the process and forget what it wrote."""
        self.stop()
        self._output.close()
