"""Run a stranger's code in its own process: time-out, memory limit, crashes contained, output captured."""

import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping
from multiprocessing.connection import Connection, Pipe
from typing import IO, Any

from dlcheck.component import Case, Component
from dlcheck.conformance import wire
from dlcheck.conformance.implementation import Implementation, Misbehaviour, NotProvided, Observation, Refused

MEMORY_LIMIT = 8 << 30
"""Bytes of address space that a target's process may have on the CPU."""

ATTEMPTS = 3
"""Times that a target's process may be lost before it is given no further cases."""


class Isolated(Implementation):
    """A target behind a process boundary, restarted after a crash or a time-out.

    ``code`` is the text ``file.py:name`` (run in a new interpreter) or an object (run in a fork of this one).
    """

    def __init__(
        self, component: Component, code: Any, fixed: Mapping[str, Any], device: str, seed: int, timeout: float
    ) -> None:
        self.component, self.code, self.timeout, self.device = component, code, timeout, device
        self.name = code if isinstance(code, str) else getattr(code, "__qualname__", type(code).__name__)
        self._request = {"component": component.name, "fixed": dict(fixed), "device": device, "seed": seed}
        self._output: IO[bytes] = tempfile.TemporaryFile()
        self._connection: Connection | None = None
        self._process: Any = None
        self._ready = False
        self._widest = "float64"
        self._lost = 0

    def start(self) -> None:
        """Start the process without waiting for it."""
        here, there = Pipe()
        if isinstance(self.code, str):
            self._process = self._spawned(there)
            here.send_bytes(wire.encode({**self._request, "target": self.code}))
        else:
            context = multiprocessing.get_context("fork")
            self._process = context.Process(target=self._forked, args=(there,), daemon=True)
            self._process.start()
        there.close()
        self._connection = here
        self._ready = False

    def _spawned(self, there: Connection) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "JAX_ENABLE_X64": "1", "PYTHONWARNINGS": "ignore"}
        environment.setdefault("KERAS_BACKEND", "torch")
        return subprocess.Popen(
            [sys.executable, "-m", "dlcheck.conformance.worker", str(there.fileno())],
            pass_fds=[there.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            env=environment,
            preexec_fn=self._limited,
        )

    def _forked(self, there: Connection) -> None:
        from dlcheck.conformance import worker

        self._limited()
        warnings.simplefilter("ignore")
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(self._output.fileno(), 1)
        os.dup2(self._output.fileno(), 2)
        try:
            worker.serve(there, self.code, self._request)
        except EOFError:
            pass
        finally:
            os._exit(0)

    def _limited(self) -> None:
        if self.device == "cpu":
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def observe(self, case: Case) -> Observation:
        """Run one case in the target's process.

        Raises NotProvided as every implementation, Misbehaviour for what the target did wrong, Refused where there is
        no such target.
        """
        if self._lost == ATTEMPTS:
            raise Misbehaviour(f"it is not tried any more: its process was lost {ATTEMPTS} times")
        if self._connection is None:
            self.start()
        self._await_ready()
        plain = {name: getattr(case, name) for name in Case.__dataclass_fields__}
        try:
            self._connection.send_bytes(wire.encode(plain))  # type: ignore[union-attr]
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Misbehaviour(self._ended()) from error
        answer = self._received(self.timeout)
        if "not_provided" in answer:
            raise NotProvided(answer["not_provided"])
        if "failure" in answer:
            raise Misbehaviour(answer["failure"])
        return Observation(answer["values"], answer["facts"], answer["lacks"])

    def _await_ready(self) -> None:
        if not self._ready:
            self._widest = self._received(max(self.timeout, 60.0))["widest"]
            self._ready = True

    @property
    def widest(self) -> str:  # type: ignore[override]
        """The widest dtype that the target computes in, known once it is ready."""
        if self._connection is not None:
            self._await_ready()
        return self._widest

    def _received(self, timeout: float) -> dict[str, Any]:
        connection = self._connection
        assert connection is not None
        try:
            if not connection.poll(timeout):
                self._give_up()
                raise Misbehaviour(f"it did not answer within {timeout:g} seconds")
            answer = wire.decode(connection.recv_bytes())
        except (EOFError, ConnectionResetError) as error:
            raise Misbehaviour(self._ended()) from error
        if "refused" in answer:
            raise Refused(answer["refused"])
        if "broken" in answer:
            raise RuntimeError(f"an adapter failed in the target's process:\n{answer['broken']}")
        return answer

    def _ended(self) -> str:
        process = self._process
        code = process.wait(5) if isinstance(process, subprocess.Popen) else (process.join(5), process.exitcode)[1]
        self._give_up()
        if code is not None and code < 0:
            return f"it crashed the interpreter (signal {-code})"
        return f"it ended the interpreter (exit status {code})"

    def _give_up(self) -> None:
        self._lost += 1
        self.stop()

    def printed(self) -> str:
        """What the target wrote to its standard output and error so far, the first 2,000 characters."""
        self._output.flush()
        return os.pread(self._output.fileno(), 2000, 0).decode(errors="replace")

    def stop(self) -> None:
        """End the process; the next case starts another."""
        if self._process is not None:
            self._process.kill()
            (self._process.wait if isinstance(self._process, subprocess.Popen) else self._process.join)()
        if self._connection is not None:
            self._connection.close()
        self._process = self._connection = None

    def close(self) -> None:
        """End the process and forget what it wrote."""
        self.stop()
        self._output.close()
