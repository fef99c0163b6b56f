"""A stranger's code is contained: whatever it does is a finding, and the tool goes on."""

import os
import random
import signal
import subprocess
import sys
import time
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch

import dlcheck
from dlcheck import registry
from dlcheck.component import Case
from dlcheck.conformance import isolation
from dlcheck.conformance.common_checks import all_checks
from dlcheck.conformance.implementation import Observation, Refused
from dlcheck.conformance.surroundings import Surroundings

STRANGERS = Path(__file__).parent / "strangers" / "contained.py"

CHECKS = len(all_checks(registry.components()["sigmoid"]))


def checked(name: str, **options):
    return dlcheck.check(f"{STRANGERS}:{name}", "sigmoid", **{"examples": 0, "timeout": 5.0, **options})


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("raises", "it raised RuntimeError: no kernel"),
        ("raises_speechlessly", "it raised Speechless: (no message)"),
        ("interrupts", "it raised KeyboardInterrupt"),
        ("exits", "it raised SystemExit: enough"),
        ("recurses", "it raised RecursionError"),
        ("leaves", "it ended the interpreter (exit status 0)"),
        ("crashes", "it crashed the interpreter (signal 11)"),
        ("hoards", "it raised RuntimeError"),
        ("hoards_slowly", "Unable to allocate 512. MiB"),
        ("kills_its_parent", "it killed its parent process"),
        ("closes_files", "it closes or writes to files that are not its own"),
        ("scribbles", "it closes or writes to files that are not its own"),
        ("text", "is a str, expected a torch.Tensor"),
        ("listed", "is a list, expected a torch.Tensor"),
        ("nothing", "is a NoneType, expected a torch.Tensor"),
        ("elsewhere", "the output is on device meta, expected cpu as the input"),
        ("integers", "has dtype torch.int64, expected a floating-point one"),
        ("rows", "has shape"),
        ("echoes", "x itself"),
        ("zeros", "0 in place of every wrong number"),
        ("nans", "NaN in place of every wrong number"),
        ("constant", "0.7 in place of every wrong number"),
        ("disarms_comparisons", "it changes numpy.abs, numpy.array_equal, torch.allclose, torch.equal"),
        ("spoils", "it changes the arrays that its caller handed it"),
        ("gives_away_gradients", "it changes the arrays that its caller handed it"),
        ("noisy", "two runs on the same input give different numbers"),
        ("right_at_first", 'the check "it gives the function\'s values" fails'),
        ("right_once", "two runs on the same input give different numbers"),
        ("RightOnce", "two runs on the same input give different numbers"),
        ("NumpyRightOnce", "two runs on the same input give different numbers"),
        ("reuses_its_output", "it writes into what it returned before"),
        ("keeps_its_input", "it writes into what it was given before"),
        ("unsettles", "it changes torch's default dtype, torch.allclose"),
        ("forges", "it closes or writes to files that are not its own"),
        (
            "sets_traps",
            "it changes the handlers of signals, garbage collection, operator.itemgetter",
        ),
        ("shouts", "it raised ValueError: \N{REPLACEMENT CHARACTER}[31mzzz"),
    ],
)
def test_misbehaviour_is_an_error_that_is_named(name, words):
    report = checked(name)
    assert not report.conforms
    named = [finding for finding in report.findings if words in finding.summary]
    assert named, str(report)
    assert named[0].severity == "error"
    assert len(report.checks) == CHECKS


def test_a_target_that_hangs_is_stopped():
    report = checked("loops", timeout=0.3)
    assert not report.conforms
    assert "did not answer within 0.3 seconds" in report.findings[0].summary


@pytest.mark.parametrize(
    ("name", "words"), [("prints_and_reads", "it prints: looking at"), ("fills_the_output", "it prints: xxx")]
)
def test_printing_is_advice_only(name, words):
    report = checked(name)
    assert report.conforms, str(report)
    assert [finding.severity for finding in report.findings] == ["advice"]
    assert words in report.findings[0].summary


def test_drawing_from_the_global_generators_is_no_finding():
    report = checked("draws")
    assert report.conforms, str(report)
    assert not report.findings


def test_what_a_target_started_ends_with_it():
    assert checked("leaves_others_behind").conforms
    until = time.monotonic() + 10  # killed it is; to die it must be given a processor
    while any(b"31.4159" in words for _, words in _processes()):
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_target_ends_with_whoever_asked():
    words = [sys.executable, "-m", "dlcheck", "check", f"{STRANGERS}:loops", "--as", "sigmoid", "--timeout", "271.8"]
    with subprocess.Popen(words, start_new_session=True) as asking:
        until = time.monotonic() + 60
        while len(started := _descendants(asking.pid)) < 3:  # the nursery, a guard and the target
            assert time.monotonic() < until
            time.sleep(0.05)
        os.killpg(asking.pid, signal.SIGKILL)
    until = time.monotonic() + 20
    while set(started) & {number for number, words in _processes() if words}:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_what_is_said_of_cases_that_were_not_run_comes_last():
    report = checked("loops", timeout=0.3)
    assert "it is not tried any more" in report.findings[-1].summary
    assert "it is not tried any more" not in report.findings[0].summary


def test_an_error_is_where_the_targets_own_line_is():
    assert "(at contained.py:" in checked("stumbles").findings[0].summary


def test_a_target_has_the_directory_and_the_environment_of_its_caller(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(STRANGERS.read_text())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STRANGE_SCALE", "1")
    assert dlcheck.check("mine.py:scaled", "sigmoid", examples=0).conforms
    monkeypatch.delenv("STRANGE_SCALE")
    assert not dlcheck.check("mine.py:scaled", "sigmoid", examples=0).conforms


def test_a_nursery_that_is_gone_is_replaced():
    assert checked("right").conforms
    number = isolation._nursery(os.getpid())._process.pid
    os.kill(number, signal.SIGKILL)
    os.waitid(os.P_PID, number, os.WEXITED | os.WNOWAIT)
    assert checked("right").conforms
    assert isolation._nursery(os.getpid())._process.pid != number


def _processes():
    """Every process: its number and its command line."""
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            yield int(place.name), (place / "cmdline").read_bytes()


def _descendants(number):
    """The processes that a process started, and those that they did."""
    parents = {}
    for other, _ in _processes():
        with suppress(OSError):
            parents[other] = int(Path(f"/proc/{other}/stat").read_text().rpartition(")")[2].split()[1])
    found, size = {number}, 0
    while len(found) > size:
        size = len(found)
        found |= {child for child, parent in parents.items() if parent in found}
    return found - {number}


def _unsettling():
    """What code may do to the process around it, and the words for it."""
    yield "changes torch's default dtype", lambda: torch.set_default_dtype(torch.float16)
    yield "changes torch's default device", lambda: torch.set_default_device("meta")
    yield "changes whether torch records gradients", lambda: torch.set_grad_enabled(False)
    yield "changes torch's number of threads", lambda: torch.set_num_threads(torch.get_num_threads() + 1)
    yield "changes whether torch's algorithms are deterministic", lambda: torch.set_deterministic_debug_mode("warn")
    yield "changes torch's precision of float32 products", lambda: torch.set_float32_matmul_precision("medium")
    yield "changes torch's detection of anomalies", lambda: torch.autograd.set_detect_anomaly(True)
    yield "changes how NumPy handles floating-point errors", lambda: np.seterr(all="raise")
    yield "changes the filters of warnings", lambda: warnings.simplefilter("error")
    yield "changes the working directory", lambda: os.chdir("/")
    yield "changes the timer of alarms", lambda: signal.alarm(1000)
    yield "changes the trace function", lambda: sys.settrace(lambda *_: None)
    yield "changes the hook of exceptions", lambda: setattr(sys, "excepthook", print)
    yield "changes standard output", lambda: setattr(sys, "stdout", None)
    yield "changes the mask of new files", lambda: os.umask(0)
    yield "changes environment variables", lambda: os.environ.update(STRANGE_SCALE="2")
    yield "changes numpy.allclose", lambda: setattr(np, "allclose", lambda *_: True)
    yield "changes torch.Tensor.__eq__", lambda: setattr(torch.Tensor, "__eq__", lambda *_: True)
    yield "changes torch.Tensor.allclose", lambda: setattr(torch.Tensor, "allclose", lambda *_: True)
    yield "changes torch.nn.functional.relu", lambda: delattr(torch.nn.functional, "relu")
    yield "seeds torch's global generator", lambda: torch.manual_seed(3)
    yield "seeds NumPy's global generator", lambda: np.random.seed(3)  # noqa: NPY002
    yield "seeds Python's global generator", lambda: (random.seed(3), random.random())


@pytest.mark.parametrize(("words", "action"), list(_unsettling()))
def test_what_is_done_to_the_process_is_named_and_undone(words, action):
    surroundings = Surroundings()

    def run(case):
        action()
        return Observation({})

    # a generator is seen to be seeded when it comes to the same state again
    runs = [surroundings.watch(run, Case("forward", {})).facts["surroundings"] for _ in range(2)]
    assert words in runs, runs
    after = surroundings.watch(lambda case: Observation({}), Case("forward", {}))
    assert after.facts["surroundings"] == ""
    assert (torch.ones(1) == 2).dtype is torch.bool
    assert torch.get_default_dtype() is torch.float32
    assert os.getcwd() != "/"
    assert "STRANGE_SCALE" not in os.environ


def _restrained():
    """What code may do that leaves the process as it was."""
    torch.rand(3), np.random.rand(3), random.random()  # noqa: NPY002
    held = np.random.get_state()  # noqa: NPY002
    with torch.no_grad(), torch.random.fork_rng(), np.errstate(all="raise"), warnings.catch_warnings():
        torch.manual_seed(3)
        np.random.seed(3)  # noqa: NPY002
        warnings.simplefilter("error")
    np.random.set_state(held)  # noqa: NPY002


def test_what_leaves_the_process_as_it_was_is_no_finding():
    surroundings = Surroundings()
    for _ in range(3):
        seen = surroundings.watch(lambda case: _restrained() or Observation({}), Case("forward", {}))
        assert seen.facts["surroundings"] == ""


def test_the_wrong_dtype_is_named():
    report = checked("single")
    assert "the result has dtype float32, expected float64 as the input" in str(report)


def test_a_numpy_object_is_judged_forward_and_backward():
    report = checked("NumpySigmoid")
    status = {outcome.id.rsplit(".", 1)[-1]: outcome.status for outcome in report.checks}
    assert status["values"] == status["gradient"] == "pass", str(report)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (f"{STRANGERS}:missing", "has no 'missing'; it has "),
        (f"{STRANGERS}:NOT_CALLABLE", "the target is 7, which cannot be called"),
        ("nowhere.py:f", "no file 'nowhere.py'"),
        ("no_such_module:f", "module 'no_such_module' cannot be imported: ModuleNotFoundError"),
        ("torch.tanh", "has no name: expected"),
        (str(STRANGERS.with_name("broken_import.py")) + ":layer", "broken_import.py:6: layer = undefined_layer(scale)"),
    ],
)
def test_a_target_that_cannot_be_had_is_a_wrong_call(target, words):
    with pytest.raises(Refused) as refused:
        dlcheck.check(target, "sigmoid")
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_keyword_that_the_target_lacks_is_a_wrong_call():
    with pytest.raises(Refused, match="--set slope: the target accepts x"):
        checked("right", settings={"slope": 2})


def test_a_constructor_that_needs_more_arguments_is_a_wrong_call():
    with pytest.raises(
        Refused, match="the target needs width and depth, which sigmoid does not have: give it with --set"
    ):
        checked("NeedsArguments")


def test_objects_are_judged_in_a_fork():
    def broken(x):
        return np.tanh(x)

    assert not dlcheck.check(broken, "sigmoid", examples=2).conforms
    assert dlcheck.check(broken, "tanh", examples=2).conforms


def kills_its_parent(x):
    os.kill(os.getppid(), signal.SIGKILL)
    return torch.sigmoid(x)


def kills_its_group(x):
    os.killpg(0, signal.SIGKILL)


@pytest.mark.parametrize(
    ("target", "words"), [(kills_its_parent, "it killed its parent process"), (kills_its_group, "(signal 9)")]
)
def test_an_object_cannot_harm_its_caller(target, words):
    report = dlcheck.check(target, "sigmoid", examples=0)
    assert not report.conforms
    assert words in str(report)


def test_dlcheck_is_unharmed_by_all_of_them():
    """Last in this file: after every other target, a right one conforms, and no process is left but the nursery."""
    assert checked("right").conforms
    nursery = isolation._nursery(os.getpid())._process.pid
    until = time.monotonic() + 5
    while (left := _descendants(os.getpid()) - {nursery}) and time.monotonic() < until:
        time.sleep(0.05)
    assert not left
