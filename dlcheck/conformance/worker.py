"""The process in which a target runs: it answers one case at a time until its pipe closes."""

import os
import sys
import traceback
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

from dlcheck import registry
from dlcheck.component import Case
from dlcheck.conformance import targets, wire
from dlcheck.conformance.oracle import Implementation, NotProvided

_OWN = os.sep + os.path.join("dlcheck", "conformance") + os.sep


def serve(connection: Connection, code: Any, request: Mapping[str, Any]) -> None:
    """Adapt the target, say so, then answer cases."""
    try:
        import torch

        from dlcheck.conformance.adapters.calling import parameters

        torch.set_num_threads(1)
        component = registry.components()[request["component"]]
        loaded = targets.load(code) if isinstance(code, str) else code
        known = parameters(loaded) if callable(loaded) else None
        unknown = [name for name in request["fixed"] if known is not None and name not in known]
        if unknown:
            raise TypeError(f"--set {unknown[0]}: the target accepts {', '.join(known or ()) or 'no keywords'}")
        adapted = targets.adapt(component, loaded, request["fixed"], request["device"], request["seed"])
    except (targets.TargetNotFound, TypeError) as error:
        return connection.send_bytes(wire.encode({"refused": str(error)}))
    connection.send_bytes(wire.encode({"ready": adapted.name}))
    while (message := connection.recv_bytes()) is not None:
        connection.send_bytes(wire.encode(_answer(adapted, wire.decode(message))))


def _answer(adapted: Implementation, message: Mapping[str, Any]) -> dict[str, Any]:
    from dlcheck.conformance.adapters.calling import TargetFailure

    try:
        seen = adapted.observe(Case(**message))
        return {"values": dict(seen.values), "facts": dict(seen.facts)}
    except NotProvided as lack:
        return {"not_provided": str(lack)}
    except TargetFailure as failure:
        return {"failure": str(failure)}
    except BaseException as error:
        return {"failure": f"it raised {type(error).__name__}: {_first_line(error)}{_where(error)}"}


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or "(no message)").splitlines()[0]


def _where(error: BaseException) -> str:
    """The target's own line in a traceback: the last frame outside this package and the libraries below the target."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _OWN not in frame.filename]
    if not frames:
        return ""
    return f" (at {os.path.basename(frames[0].filename)}:{frames[0].lineno}: {frames[0].line})"


def main() -> None:
    """Serve over the file descriptor given as the argument; the first message is the request."""
    connection = Connection(int(sys.argv[1]))
    request = wire.decode(connection.recv_bytes())
    try:
        serve(connection, request["target"], request)
    except (EOFError, BrokenPipeError):
        return


if __name__ == "__main__":
    main()
