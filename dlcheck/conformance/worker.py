"""The process in which a target runs: it answers one case at a time until its pipe closes.

It is a fork: of the caller for an object, of a nursery that has imported torch for a target that is named. A guard
stands between the two, so that the target's parent is nobody whom it could harm.
"""

import os
import resource
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from typing import Any, NoReturn

from dlcheck import registry
from dlcheck.component import Case
from dlcheck.conformance import form, targets, wire
from dlcheck.conformance.implementation import Implementation, Misbehaviour, NotProvided, Refused, raised
from dlcheck.conformance.surroundings import Surroundings

MEMORY_LIMIT = 8 << 30
"""Bytes of address space that a target's process may have on the CPU."""
FILE_LIMIT = 1 << 30
"""Bytes that it may write to one file, what it prints among them."""
CUT_OFF = signal.SIGPIPE
"""The signal by which it seems to end where the target closed the pipe on which it answers."""


def serve(connection: Connection, code: Any, request: Mapping[str, Any]) -> None:
    """Adapt the target, say so, then answer cases."""
    parent, itself = os.getppid(), os.getpid()
    try:
        import torch

        from dlcheck.conformance.adapters.calling import parameters

        if request["device"] == "cuda" and not torch.cuda.is_available():
            raise Refused("device is cuda, which torch does not find here")
        torch.set_num_threads(1)
        surroundings = Surroundings()
        component = registry.components()[request["component"]]
        loaded = targets.load(code) if isinstance(code, str) else code
        known = parameters(loaded) if callable(loaded) else None
        if known is not None and hasattr(loaded, "backward"):  # whose forward may take settings too
            known |= parameters(getattr(loaded, "forward", loaded)) or {}
        own = form.named(component.form).switches
        unknown = [name for name in request["fixed"] if known is not None and name not in (*known, *own)]
        if unknown:
            raise Refused(f"--set {unknown[0]}: the target accepts {', '.join(known or ()) or 'no keywords'}")
        if component.form in ("optimizer", "schedule"):
            torch.optim.SGD([torch.zeros(1)])  # the first optimizer imports much, which is no time of the target's
        adapted = targets.adapt(component, loaded, request["fixed"], request["device"], request["seed"])
    except Refused as error:
        return connection.send_bytes(wire.encode({"refused": str(error)}))
    except BaseException as error:  # of a target that cannot even be looked at
        said = _said(error, refusable=False)
        refusal = {"refused": f"the target cannot be used: {said['failure']}"} if "failure" in said else said
        return connection.send_bytes(wire.encode(refusal))
    connection.send_bytes(wire.encode({"widest": adapted.widest, "own_eps": adapted.own_eps}))
    while (message := connection.recv_bytes()) is not None:
        question = wire.decode(message)
        answer = _answer(surroundings, adapted, question)
        if os.getpid() != itself:  # a process that the target forked, and that came back
            os._exit(0)
        if os.getppid() != parent:
            answer = {"failure": "it killed its parent process"}
        try:
            connection.send_bytes(wire.encode({**answer, "number": question["number"]}))
        except BrokenPipeError:
            raise
        except OSError:
            os._exit(128 + CUT_OFF)


def _answer(surroundings: Surroundings, adapted: Implementation, message: Mapping[str, Any]) -> dict[str, Any]:
    try:
        case = Case(**message["case"])
        seen = surroundings.watch(adapted.repeat if message["again"] else adapted.observe, case)
        return {"values": dict(seen.values), "facts": dict(seen.facts), "lacks": seen.lacks}
    except Refused as wrong:
        return {"refused": str(wrong)}
    except BaseException as error:
        return _said(error, message["case"]["refusable"])


def _said(error: BaseException, refusable: bool) -> dict[str, Any]:
    try:
        known = error if isinstance(error, (NotProvided, Misbehaviour)) else raised(error, refusable)
    except BaseException:
        return {"broken": traceback.format_exc()}
    if isinstance(known, NotProvided):
        return {"not_provided": str(known)}
    return {"failure": str(known), "declined": known.declined}


def fork(
    connection: Connection, output: int, code: Any, request: Mapping[str, Any], unshared: tuple[int, ...] = ()
) -> int:
    """Serve a target in a fork of a fork of this process, which prints to the file ``output``.

    The process number is that of the first, the guard, whose group has all that the target starts; it ends with the
    target, as ``ended`` tells, and ends it when it is terminated. ``unshared`` are files of this process that neither
    has any business with.
    """
    parent, number = os.getpid(), _forked()
    if number:
        with suppress(ProcessLookupError, PermissionError):
            os.setpgid(number, number)  # here as in the guard: whichever comes first
        return number
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for file in unshared:
            os.close(file)
        inner = _forked()
        if inner:
            connection.close()
            _guard(inner, parent)
        _serve_in_fork(connection, output, code, request)
    finally:
        os._exit(1)


def _forked() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # later Pythons warn of a fork beside threads
        return os.fork()


def _guard(inner: int, parent: int) -> NoReturn:
    signal.signal(signal.SIGTERM, lambda *_: os.kill(inner, signal.SIGKILL))
    threading.Thread(target=_outlive, args=(parent,), daemon=True).start()
    status = os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1])
    os._exit(status if status >= 0 else 128 - status)


def _serve_in_fork(connection: Connection, output: int, code: Any, request: Mapping[str, Any]) -> NoReturn:
    status = 1
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdin, sys.stdout, sys.stderr = (open(place, mode, 1) for place, mode in enumerate("rww"))
        warnings.simplefilter("ignore")
        os.chdir(request["directory"])
        for name in os.environ.keys() - request["environment"].keys():
            del os.environ[name]
        os.environ.update(request["environment"])
        if request["device"] == "cpu":
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
        resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_LIMIT, FILE_LIMIT))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        serve(connection, code, request)
    except (EOFError, BrokenPipeError):
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _outlive(parent: int) -> None:
    """End the guard's group, the target with it, once the process that forked the guard is no more."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os.killpg(0, signal.SIGKILL)


def end(number: int) -> None:
    """Ask the guard of that number to end its target."""
    with suppress(ProcessLookupError):
        os.kill(number, signal.SIGTERM)


def ended(number: int, patience: float = 5.0) -> int | None:
    """How the target of a guard ended, with whatever it started: its exit status, below 0 for a signal.

    None if it takes longer than ``patience``, which leaves nothing of it either.
    """
    until, status = time.monotonic() + patience, None
    while status is None and time.monotonic() < until:
        found, how = os.waitpid(number, os.WNOHANG)
        status = os.waitstatus_to_exitcode(how) if found else None
        time.sleep(0.0 if found else 0.005)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(number, signal.SIGKILL)
    if status is None:
        os.waitpid(number, 0)
    return 128 - status if status is not None and status > 128 else status


def main() -> None:
    """Import torch once, then fork for every target, as asked over the socket given as the argument.

    A request comes with its connection and its output file, and is answered with a process number; a process number
    is answered with how that process ended.
    """
    import torch
    import torch.fx.experimental.symbolic_shapes  # which the first gradient imports

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asked = Connection(int(sys.argv[1]))
    running: set[int] = set()
    try:
        while True:
            question = wire.decode(asked.recv_bytes())
            if isinstance(question, int):
                answer = ended(question)
                running.discard(question)
            else:
                connection, output = Connection(recv_handle(asked)), recv_handle(asked)
                answer = fork(connection, output, question["target"], question, (asked.fileno(),))
                running.add(answer)
                connection.close()
                os.close(output)
            asked.send_bytes(wire.encode(answer))
            import torch._dynamo  # noqa: F401 - which the first optimizer imports: while the target is at work
    except (EOFError, ConnectionResetError):
        for number in running:
            os.killpg(number, signal.SIGKILL)


if __name__ == "__main__":
    main()
