"""The process in which a target runs: it answers one case at a time until its pipe closes.

It is a fork: of the caller for an object, of a nursery that has imported torch for a target that is named.
"""

import os
import resource
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Mapping
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from typing import Any

from dlcheck import registry
from dlcheck.component import Case
from dlcheck.conformance import form, targets, wire
from dlcheck.conformance.implementation import Implementation, Misbehaviour, NotProvided, Refused, raised

MEMORY_LIMIT = 8 << 30
"""Bytes of address space that a target's process may have on the CPU."""


def serve(connection: Connection, code: Any, request: Mapping[str, Any]) -> None:
    """Adapt the target, say so, then answer cases."""
    try:
        import torch

        from dlcheck.conformance.adapters.calling import parameters

        torch.set_num_threads(1)
        component = registry.components()[request["component"]]
        loaded = targets.load(code) if isinstance(code, str) else code
        known = parameters(loaded) if callable(loaded) else None
        own = form.named(component.form).switches
        unknown = [name for name in request["fixed"] if known is not None and name not in (*known, *own)]
        if unknown:
            raise Refused(f"--set {unknown[0]}: the target accepts {', '.join(known or ()) or 'no keywords'}")
        adapted = targets.adapt(component, loaded, request["fixed"], request["device"], request["seed"])
    except Refused as error:
        return connection.send_bytes(wire.encode({"refused": str(error)}))
    connection.send_bytes(wire.encode({"ready": adapted.name, "widest": adapted.widest}))
    while (message := connection.recv_bytes()) is not None:
        connection.send_bytes(wire.encode(_answer(adapted, wire.decode(message))))


def _answer(adapted: Implementation, message: Mapping[str, Any]) -> dict[str, Any]:
    try:
        seen = adapted.observe(Case(**message))
        return {"values": dict(seen.values), "facts": dict(seen.facts), "lacks": seen.lacks}
    except Refused as wrong:
        return {"refused": str(wrong)}
    except BaseException as error:
        return _said(error, message["refusable"])


def _said(error: BaseException, refusable: bool) -> dict[str, Any]:
    try:
        known = error if isinstance(error, (NotProvided, Misbehaviour)) else raised(error, refusable)
    except BaseException:
        return {"broken": traceback.format_exc()}
    return {"not_provided" if isinstance(known, NotProvided) else "failure": str(known)}


def fork(
    connection: Connection, output: int, code: Any, request: Mapping[str, Any], unshared: tuple[int, ...] = ()
) -> int:
    """Serve a target in a fork of this process, which prints to the file ``output``; its process number.

    ``unshared`` are files of this process that the fork has no business with.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # later Pythons warn of a fork beside threads
        number = os.fork()
    if number:
        return number
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for file in unshared:
            os.close(file)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdin, sys.stdout, sys.stderr = (open(place, mode, 1) for place, mode in enumerate("rww"))
        warnings.simplefilter("ignore")
        os.chdir(request["directory"])
        os.environ.update(request["environment"])
        if request["device"] == "cpu":
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        serve(connection, code, request)
    except (EOFError, BrokenPipeError):
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def ended(number: int, patience: float = 5.0) -> int | None:
    """The exit status of a fork of this process, below 0 for a signal; None if it takes longer than ``patience``."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        if (found := os.waitpid(number, os.WNOHANG))[0]:
            return os.waitstatus_to_exitcode(found[1])
        time.sleep(0.005)
    return None


def main() -> None:
    """Import torch once, then fork for every target, as asked over the socket given as the argument.

    A request comes with its connection and its output file, and is answered with a process number; a process number
    is answered with how that process ended.
    """
    import torch  # noqa: F401

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asked = Connection(int(sys.argv[1]))
    running: set[int] = set()
    try:
        while True:
            question = wire.decode(asked.recv_bytes())
            if isinstance(question, int):
                answer = ended(question)
                running -= {question} if answer is not None else set()
            else:
                connection, output = Connection(recv_handle(asked)), recv_handle(asked)
                answer = fork(connection, output, question["target"], question, (asked.fileno(),))
                running.add(answer)
                connection.close()
                os.close(output)
            asked.send_bytes(wire.encode(answer))
    except (EOFError, ConnectionResetError):
        for number in running:
            os.kill(number, signal.SIGKILL)


if __name__ == "__main__":
    main()
