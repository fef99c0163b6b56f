"""The command line. Whatever is heavy is imported inside the command that needs it."""

import ast
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import click

from dlcheck.profiles import DEVICES, PROFILES

WRONG_CALL, OWN_FAILURE, INTERRUPTED = 2, 3, 130
UNCUT = 100_000
"""Columns of a table that goes to a file or another program, where nothing is cut or wrapped."""


class WrongCall(click.ClickException):
    """A call that cannot be answered: one line on standard error."""

    exit_code = WRONG_CALL

    def show(self, file: Any = None) -> None:
        click.echo(f"dlcheck: {' '.join(self.message.split())}", err=True)


class Commands(click.Group):
    """A group whose own failures end in one line, never in a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        if sys.flags.optimize:
            raise WrongCall("python -O strips assertions, so nothing can be judged: run without it")
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            raise WrongCall(f"{error.format_message()} (dlcheck {ctx.invoked_subcommand or ''} --help)") from error
        except (KeyboardInterrupt, click.Abort):
            click.echo("dlcheck: interrupted", err=True)
            sys.exit(INTERRUPTED)
        except (click.ClickException, click.exceptions.Exit, BrokenPipeError):
            raise
        except Exception as error:
            from dlcheck.registry import UnknownName

            if isinstance(error, UnknownName):
                raise WrongCall(str(error)) from error
            _own_failure(error)


def _own_failure(error: Exception) -> NoReturn:
    import traceback

    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(last.filename).name}:{last.lineno}"
    click.echo(f"dlcheck itself failed: {type(error).__name__}: {error} ({where})", err=True)
    sys.exit(OWN_FAILURE)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="dlcheck")
def main() -> None:
    """Is this deep-learning component right, which convention does it follow, and if it is wrong, what is the mistake?

    \b
    dlcheck check my_optim.py:MyAdam --as adam
    dlcheck verify
    dlcheck explain adam
    """


class Pairs(click.ParamType):
    """``key=value``; with ``literal`` the value is a Python literal, or text where it is none."""

    name = "key=value"

    def __init__(self, literal: bool = False):
        self.literal = literal

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Any]:
        key, equals, text = str(value).partition("=")
        if not (key and equals):
            self.fail(f"{value!r} is not of the form key=value", param, ctx)
        return key.strip(), (_literal(text.strip()) if self.literal else text.strip())


def _literal(text: str) -> Any:
    named = {"true": True, "false": False, "none": None}
    if text.lower() in named:
        return named[text.lower()]
    for reading in (ast.literal_eval, float):  # the latter for nan and inf
        with suppress(ValueError, SyntaxError):
            return reading(text)
    return text


def _unique(pairs: Sequence[tuple[str, Any]], option: str) -> dict[str, Any]:
    twice = [key for key, _ in pairs if [other for other, _ in pairs].count(key) > 1]
    if twice:
        raise WrongCall(f"{option} {twice[0]} is given twice")
    return dict(pairs)


class Checking(click.Command):
    """A command whose options of pairs take several: ``--set a=1 b=2`` is ``--set a=1 --set b=2``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Write the option before each of its pairs."""
        written: list[str] = []
        option = ""
        for argument in args:
            if option and "=" in argument and not argument.startswith("-") and written[-1] != option:
                written.append(option)
            elif argument.startswith("-"):
                option = argument if argument in ("--set", "--convention") else ""
            written.append(argument)
        return super().parse_args(ctx, written)


@main.command(cls=Checking)
@click.argument("target", required=False)
@click.option("--as", "component", metavar="COMPONENT", help="What TARGET is meant to be.")
@click.option("--set", "settings", multiple=True, type=Pairs(literal=True), help="A keyword for every call of TARGET.")
@click.option("--convention", "conventions", multiple=True, type=Pairs(), help="Demand an option: axis=name.")
@click.option("--config", metavar="PYPROJECT", help="Judge every target that [tool.dlcheck] of this file declares.")
@click.option("--json", "json_file", metavar="FILE", help="Write the answer as JSON; - prints it, without the report.")
@click.option("--seed", type=int, metavar="N", help="Seed of the search and of samples.")
@click.option("--examples", type=int, metavar="N", help="Cases searched for each check.")
@click.option("--device", metavar="[cpu|cuda]", help="Where the target runs (cpu).")
@click.option("--timeout", type=float, metavar="SECONDS", help="For one case.")
def check(target: str | None, component: str | None, config: str | None, json_file: str | None, **options: Any) -> None:
    """Judge your own code: TARGET is path/to/file.py:name or package.module:name.

    \b
    dlcheck check my_optim.py:MyAdam --as adam
    dlcheck check torch.optim:SGD --as sgd --set momentum=0.9 --set nesterov=true
    dlcheck check --config pyproject.toml

    Exit status: 0 it conforms, 1 it deviates, 2 the call is wrong, 3 dlcheck itself failed.
    """
    # nothing is left in the caller's folder
    os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(Path.home() / ".cache" / "dlcheck" / "hypothesis"))
    from dlcheck import results
    from dlcheck.conformance.implementation import Refused
    from dlcheck.conformance.project import Target, read

    options["settings"] = _unique(options["settings"], "--set")
    options["conventions"] = _unique(options["conventions"], "--convention")
    given = {name: value for name, value in options.items() if value not in (None, {})}
    if config and (target or component or {"settings", "conventions"} & given.keys()):
        raise WrongCall("--config takes its targets, settings and conventions from the file: give nothing beside it")
    if not config and not (target and component):
        raise WrongCall("a check needs TARGET and --as COMPONENT, or --config PYPROJECT")
    try:
        targets = read(config, given) if config else [Target(target, str(component), options=given)]
        reports = [(declared, declared.judged()) for declared in targets]
    except Refused as error:
        raise WrongCall(str(error)) from error
    objections = [objection for declared, report in reports for objection in declared.objections(report)]
    answers = [report.to_json() for _, report in reports]
    answer = results.dumps(answers if config else answers[0])
    if json_file == "-":
        click.echo(answer)
        sys.exit(1 if objections else 0)
    for _, report in reports:
        click.echo(str(report))
    if json_file is not None:
        _write(json_file, answer)
    if config:
        click.echo("\n".join([*objections, f"{len(reports)} targets, {len(objections)} objections"]))
    sys.exit(1 if objections else 0)


@main.command()
@click.option("--html", default="reports/verification.html", show_default=True, metavar="FILE", help="The report.")
@click.option(
    "--json", "json_file", default="reports/results.json", show_default=True, metavar="FILE", help="Its data."
)
@click.option("-k", "expression", metavar="EXPR", help="Only items that match, as pytest's -k.")
@click.option("-n", "workers", default="auto", show_default=True, help="Processes, as pytest-xdist's -n.")
@click.option(
    "--profile", type=click.Choice(list(PROFILES)), default="ci", show_default=True, help="How much is searched."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Seed of every draw (0).")
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True)
def verify(html: str, json_file: str, expression: str | None, workers: str, **options: Any) -> None:
    """Judge every claim, check, fault and convention, and write the report.

    Exit status: pytest's (0 all as declared, 1 something failed).
    """
    import pytest

    import dlcheck.suite

    folder = Path(dlcheck.suite.__file__).parent
    arguments = [str(folder), "-c", str(folder / "pytest.ini"), "--rootdir", str(folder), "--no-header"]
    arguments += ["-n", workers, "--dist", "loadgroup"]
    arguments += [f"--dlcheck-{name}={value}" for name, value in options.items()]
    arguments += [f"--dlcheck-html={html}", f"--dlcheck-json={json_file}", *(["-k", expression] if expression else [])]
    sys.exit(int(pytest.main(arguments)))


@main.command("list")
@click.argument("kind", type=click.Choice(["components", "claims", "faults", "conventions"]))
@click.option("--json", "as_json", is_flag=True, help="JSON on standard output.")
def list_(kind: str, as_json: bool) -> None:
    """List what dlcheck knows."""
    from dlcheck import results

    rows = _ROWS[kind]()
    if as_json:
        click.echo(results.dumps(rows))
    else:
        _print_table(rows)


def _component_rows() -> list[dict[str, str]]:
    from dlcheck import registry

    known, families = registry.components(), registry.families()
    return [
        {"component": n, "family": families[n], "drop-in for": c.model, "says": c.summary} for n, c in known.items()
    ]


def _claim_rows() -> list[dict[str, str]]:
    from dlcheck import registry

    found = registry.claims().values()
    return [{"claim": c.id, "verdict": c.verdict, "evidence": c.evidence, "says": c.says} for c in found]


def _fault_rows() -> list[dict[str, str]]:
    from dlcheck import registry

    return [{"fault": f.id, "component": f.component, "says": f.says} for f in registry.faults().values()]


def _convention_rows() -> list[dict[str, str]]:
    from dlcheck.explain import conventions

    return [
        {"convention": f"{component.name}.{c.axis}", "option": option.name, "says": option.says}
        for component, c in conventions()
        for option in c.options
    ]


_ROWS = {"components": _component_rows, "claims": _claim_rows, "faults": _fault_rows, "conventions": _convention_rows}


def _print_table(rows: Sequence[Mapping[str, str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Column, Table

    table = Table(*(Column(name, overflow="fold") for name in (rows[0] if rows else ())), box=box.SIMPLE_HEAD)
    for row in rows:
        table.add_row(*row.values())
    Console(width=None if sys.stdout.isatty() else UNCUT, markup=False, emoji=False).print(table)
    click.echo(f"{len(rows)} in all")


@main.command()
@click.argument("name")
def explain(name: str) -> None:
    """Say everything about one component, check, convention (axis or component.axis), fault or claim.

    A claim is judged on the spot, and its evidence shown.
    """
    from dlcheck import registry
    from dlcheck.explain import explain, judged

    click.echo(explain(name))
    if name in registry.claims():
        click.echo(judged(registry.claims()[name]))


@main.command()
@click.argument("component")
@click.option("--dtype", type=click.Choice(["float16", "bfloat16", "float32"]), default="float16", show_default=True)
@click.option("--implementation", default="torch", show_default=True, help="torch (ours) or torch.nn.functional.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
def exhaust(component: str, dtype: str, implementation: str, device: str) -> None:
    """Run an activation of one number over every input of a dtype, and say how accurate it is."""
    import torch

    from dlcheck import accuracy, registry

    if device == "cuda" and not torch.cuda.is_available():
        raise WrongCall("device is cuda, which torch does not find here")
    known = {name: registry.components()[name] for name in accuracy.components()}
    registry.lookup("activation of one number", known, component)
    registry.lookup("implementation", dict.fromkeys(accuracy.IMPLEMENTATIONS), implementation)
    for of, found in accuracy.table(component, implementation, dtype, device):
        click.echo(f"{component} {of}, {implementation}, {dtype}: {found.inputs} inputs")
        click.echo(f"  worst error {found.worst_ulp:.6g} ulp at {found.worst_input!r}")
        click.echo(f"  {found.misrounded} results are not the nearest number")
        click.echo("  " + ", ".join(f"f({x}) = {y}" for x, y in found.special.items()))


def _read(path: str) -> Any:
    from dlcheck import results

    try:
        return results.read(path)
    except (OSError, ValueError) as error:
        raise WrongCall(str(error)) from error


def _write(path: str, text: str) -> None:
    from dlcheck import results

    try:
        results.write(path, text)
    except OSError as error:
        raise WrongCall(str(error)) from error
    click.echo(f"written: {path}")


@main.command()
@click.argument("names", nargs=-1, metavar="[COMPONENT]...")
@click.option("--out", required=True, type=click.Path(file_okay=False), metavar="DIR", help="Where the files go.")
def vectors(names: Sequence[str], out: str) -> None:
    """Write test vectors for other languages: one JSON file for each COMPONENT, or for all."""
    from dlcheck import registry, vectors

    known = registry.components()
    for component in [registry.lookup("component", known, name) for name in names] or known.values():
        try:
            click.echo(f"written: {vectors.write(component, Path(out))}")
        except OSError as error:
            raise WrongCall(str(error)) from error


@main.command()
@click.argument("results_file", metavar="RESULTS.json")
@click.option("--html", default="reports/verification.html", show_default=True, metavar="FILE")
def report(results_file: str, html: str) -> None:
    """Make the HTML report again from the results of a run."""
    from dlcheck.report.render import render

    _write(html, render(_read(results_file)))


@main.command()
@click.argument("before")
@click.argument("after")
def diff(before: str, after: str) -> None:
    """Show the verdicts that differ between two results files; exit status 1 if any does."""
    from dlcheck import results

    changes = results.diff(_read(before), _read(after))
    for change in changes:
        click.echo(f"{change.what}: {change.before} -> {change.after}")
    click.echo(f"{len(changes)} verdicts differ")
    sys.exit(1 if changes else 0)


@main.command()
def doctor() -> None:
    """Show versions, devices, threads, and settings that would make runs faster."""
    import platform

    from dlcheck import environment

    click.echo(f"python {platform.python_version()} on {platform.platform()}")
    for name, version in environment.versions().items():
        click.echo(f"  {name} {version}")
    click.echo(f"devices: {', '.join(environment.devices())}")
    click.echo(f"threads: {environment.threads()}")
    for variable, says in environment.advice().items():
        click.echo(f"faster: {variable}{says}")
