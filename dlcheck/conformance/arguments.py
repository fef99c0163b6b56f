"""What may be asked of a check: whatever is wrong with it in one sentence, and how to ask for the same again."""

import inspect
import operator
import shlex
import sys
from collections.abc import Mapping
from typing import Any

from dlcheck import registry
from dlcheck.component import Component
from dlcheck.conformance import wire
from dlcheck.conformance.common_checks import all_checks
from dlcheck.conformance.implementation import Refused

EXAMPLES = 20
"""Cases that the search tries for each check, beside the fixed ones."""
TIMEOUT = 10.0
"""Seconds that one case of a target may take."""
LONGEST = 1e6
"""The longest time that may be asked for."""
DEVICES = ("cpu", "cuda")


def expect_options(
    *, seed: Any = 0, examples: Any = EXAMPLES, device: Any = DEVICES[0], timeout: Any = TIMEOUT
) -> None:
    """Raises Refused for an option of another type or out of range."""
    for name, value in (("seed", seed), ("examples", examples)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise Refused(f"{name} is {value!r}, expected a whole number from 0 on")
    if device not in DEVICES:
        raise Refused(f"device is {device!r}, expected {' or '.join(DEVICES)}")
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 < timeout <= LONGEST:
        raise Refused(f"timeout is {timeout!r}, expected seconds, more than 0 and at most {LONGEST:g}")


OPTIONS = {name: option.default for name, option in inspect.signature(expect_options).parameters.items()}
"""The options that every check has, and their defaults."""


def expect(
    target: Any, component: Any, *, settings: Any = None, conventions: Any = None, waivers: Any = None, **options: Any
) -> Component:
    """The component that a target is to be checked as.

    Raises UnknownName for a component, axis, option or check that does not exist, Refused for other bad arguments.
    """
    for name in options:
        registry.lookup("option", OPTIONS, name)
    expect_options(**options)
    if not isinstance(component, str):
        raise Refused(f"component is {component!r}, expected a name, as 'adam'")
    known = registry.lookup("component", registry.components(), component)
    for name, value in _entries("settings", settings):
        _expect_setting(target, known, name, value)
    for axis, option in _entries("conventions", conventions):
        _expect_option(known, axis, option)
    for id, reason in _entries("waivers", waivers):
        _expect_waiver(check_ids(known, conventions), id, reason)
    return known


def check_ids(component: Component, conventions: Mapping[str, str] | None) -> list[str]:
    """The checks of a component, and one for each convention that is demanded."""
    prefix = f"{registry.families()[component.name]}.{component.name}.convention"
    return [*(check.id for check in all_checks(component)), *(f"{prefix}.{axis}" for axis in conventions or ())]


def _entries(name: str, table: Any) -> list[tuple[str, Any]]:
    if table is not None and not isinstance(table, Mapping):
        raise Refused(f"{name} is {table!r}, expected a table of names and values")
    for key in table or ():
        if not isinstance(key, str):
            raise Refused(f"{name} has {key!r}, expected a name")
    return list((table or {}).items())


def _expect_setting(target: Any, component: Component, name: str, value: Any) -> None:
    if isinstance(component.settings.get(name), bool) and not (isinstance(value, int) and value in (0, 1)):
        raise Refused(f"{name} is {value!r}, expected true or false")
    try:
        wire.encode(value if isinstance(target, str) else None)  # an object may be given what no text can tell
    except TypeError as error:
        raise Refused(f"{name} is {value!r}, expected numbers, text, true or false") from error


def _expect_option(component: Component, axis: str, option: Any) -> None:
    axes = {convention.axis: convention for convention in component.conventions}
    known = {o.name: o for o in registry.lookup(f"convention of {component.name}", axes, axis).options}
    if not isinstance(option, str):
        raise Refused(f"the convention {axis} is {option!r}, expected text: {' or '.join(map(repr, known))}")
    registry.lookup(f"option of {axis}", known, option)


def _expect_waiver(ids: list[str], id: str, reason: Any) -> None:
    if isinstance(reason, Mapping):
        raise Refused(f'the waiver of {id} is a table: an id with dots stands in quotes, as waivers."{ids[0]}"')
    if not (isinstance(reason, str) and reason.strip()):
        raise Refused(f"the waiver of {id} needs a reason, got {reason!r}")
    registry.lookup("check", dict.fromkeys(ids), id)


def called(target: Any) -> str:
    """How a target is called: as the command line would name it, ``module:name``, where it could."""
    if isinstance(target, str):
        return target
    module, name = getattr(target, "__module__", None), getattr(target, "__qualname__", type(target).__name__)
    if module in (None, "__main__"):
        return name
    try:
        found = operator.attrgetter(name)(sys.modules[module])
    except (AttributeError, KeyError):
        found = None
    return f"{module}:{name}" if found is target else f"{module}.{name}"


def replay(target: str, component: str, settings: Any, conventions: Any, options: Mapping[str, Any]) -> str:
    """The command that asks for the same again; for an object that has no name, the call."""
    given = {name: value for name, value in options.items() if name == "seed" or value != OPTIONS[name]}
    if ":" not in target and not target.endswith(".onnx"):
        tables = {name: dict(table) for name, table in (("settings", settings), ("conventions", conventions)) if table}
        named = "".join(f", {name}={value!r}" for name, value in {**tables, **given}.items())
        return f"dlcheck.check({target}, {component!r}{named})"
    words = ["dlcheck", "check", target, "--as", component]
    for option, table in (("--set", settings), ("--convention", conventions)):
        words += [word for name, value in (table or {}).items() for word in (option, f"{name}={value}")]
    return shlex.join([*words, *(word for name, value in given.items() for word in (f"--{name}", str(value)))])
