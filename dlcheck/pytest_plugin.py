"""The pytest plugin: options, and the outcomes of dlcheck's items; a guest that stays silent where nobody uses dlcheck.

An item says what it found as one JSON string among its ``user_properties``, under "dlcheck": a list of
``dlcheck.outcomes.Record``, which crosses from xdist's workers to the controller and into junit files.
"""

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from dlcheck.profiles import DEVICES, PROFILES

pytest_plugins = ["dlcheck.claim_items"]
MARKERS = (
    "gpu: needs a CUDA device",
    "peers: needs a library of the peers extra",
)
SUMMARY_LIMIT = 500_000
"""GitHub loses a step summary of more than a mebibyte, so this many characters are written at most."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """One group of options; those that last have a twin in the ini file."""
    group = parser.getgroup("dlcheck", "dlcheck: verification of deep-learning components")
    group.addoption("--dlcheck", action="store_true", help="check what [tool.dlcheck] of pyproject.toml declares, too")
    group.addoption("--dlcheck-json", metavar="FILE", help="write what was found as JSON")
    group.addoption("--dlcheck-html", metavar="FILE", help="write what was found as an HTML report")
    group.addoption("--dlcheck-profile", choices=list(PROFILES), help="how much is searched (default: ci)")
    group.addoption("--dlcheck-seed", type=int, metavar="N", help="seed of every search and sample (default: 0)")
    group.addoption("--dlcheck-device", choices=DEVICES, help="where torch implementations run (default: auto)")
    parser.addini("dlcheck_profile", "how much is searched: quick, ci or deep", default="ci")
    parser.addini("dlcheck_seed", "seed of every search and sample", default="0")
    parser.addini("dlcheck_device", "where torch implementations run: auto, cpu or cuda", default="auto")


def setting(config: pytest.Config, name: str) -> str:
    """An option of the command line or, where it is not given, of the ini file. Raises UsageError for a bad one."""
    given = config.getoption(f"--dlcheck-{name}")
    value = str(config.getini(f"dlcheck_{name}") if given is None else given)
    known = {"profile": list(PROFILES), "device": list(DEVICES)}.get(name)
    if value not in known if known else not value.isdecimal():
        raise pytest.UsageError(f"dlcheck_{name} must be {' or '.join(known or ['a whole number'])}, got {value!r}")
    return value


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers and, in the process that reports, the collector of outcomes; read what is declared."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    if config.getoption("--dlcheck"):  # here, where a wrong table ends the run before xdist starts its workers
        _collect_declared(config)
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Collector(config), "dlcheck-collector")


def _declaration(config: pytest.Config) -> Path:
    return config.rootpath / "pyproject.toml"


def _collect_declared(config: pytest.Config) -> None:
    """Let the run collect the project's pyproject.toml, or what its arguments name of it."""
    from dlcheck.conformance.project import BadDeclaration, read

    try:
        read(_declaration(config))
    except BadDeclaration as error:
        raise pytest.UsageError(f"--dlcheck: {error}") from error
    named = (os.path.abspath(config.invocation_params.dir / argument.partition("::")[0]) for argument in config.args)
    if str(_declaration(config)) not in named:
        config.args.append(str(_declaration(config)))


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """The checks of the targets that the project declares, where that is asked for."""
    if not parent.config.getoption("--dlcheck") or file_path != _declaration(parent.config):
        return None
    from dlcheck.conformance.items import Declaration

    return Declaration.from_parent(parent, path=file_path)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Where a collected file uses dlcheck: refuse to run without assertions, share the cores among workers."""
    if "dlcheck.registry" not in sys.modules:
        return
    if sys.flags.optimize:
        raise pytest.UsageError("dlcheck cannot judge under python -O, which strips assertions: run without it")
    for name in ("profile", "seed", "device"):
        setting(session.config, name)
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers > 1:
        _limit_threads(max(1, (os.cpu_count() or 1) // workers))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let the short summary open with what our errors say, in place of the name of their class."""
    report = yield
    error = call.excinfo.value if call.excinfo else None
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash and type(error).__module__.startswith("dlcheck."):
        crash.message = str(error).partition("\n")[0]
    return report


def _limit_threads(threads: int) -> None:
    import threadpoolctl

    threadpoolctl.threadpool_limits(threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, str(threads))


class Collector:
    """Gathers the records of items that ran, shows them, and writes what the options ask for."""

    def __init__(self, config: pytest.Config):
        self.config = config
        self.started = time.time()
        self.records: list[Any] = []
        self.written: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the records that came with a finished item."""
        if report.when == "call":
            found = [value for name, value in report.user_properties if name == "dlcheck"]
            self.records += [record for value in found for record in json.loads(str(value))]

    def pytest_sessionfinish(self) -> None:
        """Write the files asked for, if anything was judged, and the step summary of GitHub."""
        if self.records:
            self._write(self.config.getoption("--dlcheck-json"), self.config.getoption("--dlcheck-html"))
        summary = os.environ.get("GITHUB_STEP_SUMMARY")
        if self.records and summary and Path(summary).parent.is_dir():
            with open(summary, "a", encoding="utf-8") as file:
                file.write(self._markdown()[:SUMMARY_LIMIT])

    def _write(self, json_file: str | None, html_file: str | None) -> None:
        if not (json_file or html_file):
            return
        from dlcheck import outcomes, results
        from dlcheck.environment import environment

        seed, profile = int(setting(self.config, "seed")), setting(self.config, "profile")
        found = outcomes.assemble(self.records, environment(self.started, seed=seed, profile=profile))
        if json_file:
            found["benchmarks"] = found["benchmarks"] or _benchmarks_beside(Path(json_file))
            results.write(json_file, results.dumps(found))
        if html_file:
            from dlcheck.report import render

            render.write(found, html_file)
        self.written = [path for path in (json_file, html_file) if path]

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Totals, one line for each thing that is not right, and where the report is."""
        if not self.records or (terminalreporter.verbosity < 0 and not self._wrong()):
            return
        terminalreporter.section("dlcheck")
        for line in self._totals():
            terminalreporter.write_line(line)
        for record in self._wrong():
            terminalreporter.write_line(f"  {_headline(record)}", red=True)
        for path in self.written:
            terminalreporter.write_line(f"written: {path}")

    def _wrong(self) -> list[dict[str, Any]]:
        return [record for record in self.records if record["status"] in ("fail", "error")]

    def _totals(self) -> list[str]:
        kinds = dict.fromkeys(record["kind"] for record in self.records)
        counts = {kind: Counter(r["status"] for r in self.records if r["kind"] == kind) for kind in kinds}
        return [
            f"{kind}: {count.total()} judged, " + ", ".join(f"{n} {status}" for status, n in count.items())
            for kind, count in counts.items()
        ]

    def _markdown(self) -> str:
        wrong = [f"- **{record['status']}** {_headline(record)}" for record in self._wrong()]
        return "\n".join(["## dlcheck", "", *wrong, "", *(f"- {line}" for line in self._totals()), ""])


def _benchmarks_beside(json_file: Path) -> Any:
    """The last benchmarks, which take a run of their own: those in ``benchmarks.json`` of the same folder."""
    from dlcheck import results

    last = json_file.with_name("benchmarks.json")
    return results.read(last)["benchmarks"] if last.is_file() else []


def _headline(record: dict[str, Any]) -> str:
    subject = " on ".join(part for part in (record["subject"], record["implementation"]) if part)
    return f"{record['kind']} {subject}: {record['message'].partition(chr(10))[0]}"
