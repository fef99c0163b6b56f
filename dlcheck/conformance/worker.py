"""The process in which a target runs: it answers one case at a time until its pipe closes."""

import sys
import traceback
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

from dlcheck import registry
from dlcheck.component import Case
from dlcheck.conformance import form, targets, wire
from dlcheck.conformance.implementation import Implementation, Misbehaviour, NotProvided, Refused, raised


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
