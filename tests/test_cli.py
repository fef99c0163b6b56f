"""The command line: exit statuses, one line for a wrong call, and never a traceback."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import torch
from click.testing import CliRunner, Result

from dlcheck import cli, registry, results
from dlcheck.conformance import check as conformance
from dlcheck.conformance import isolation

TARGETS = '''
"""Implementations of somebody else, right and wrong."""
import torch

number = 3

def sigmoid(x):
    return 1 / (1 + torch.exp(-x))

def stable(x):
    return torch.sigmoid(x)

def halved(x):
    return torch.sigmoid(x) / 2

def flat(x):
    return torch.sigmoid(x).reshape(-1)

def whole(x):
    return torch.sigmoid(x).round().to(torch.int64)

def text(x):
    return "0.5"

class Needy(torch.nn.Module):
    def __init__(self, width, depth):
        super().__init__()

    def forward(self, x):
        return torch.sigmoid(x)
'''


@pytest.fixture
def targets(tmp_path: Path) -> str:
    path = tmp_path / "mine.py"
    path.write_text(TARGETS)
    return str(path)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, arguments)


def assert_wrong_call(result: Result, *words: str) -> None:
    """Status 2 and one line on standard error, which holds the words."""
    assert result.exit_code == 2, result.output
    assert not result.stdout
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_names_the_commands(option: str) -> None:
    result = invoke(option)
    assert result.exit_code == 0
    for command in ("check", "verify", "list", "explain", "report", "diff", "doctor"):
        assert command in result.stdout


def test_help_takes_at_most_two_hundred_milliseconds() -> None:
    # the time of the processor, which does not grow when others use the machine
    code = "import time; from dlcheck.cli import main; main(['-h'], standalone_mode=False); print(time.process_time())"

    def seconds() -> float:
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        return float(run.stdout.splitlines()[-1])

    assert any(seconds() <= 0.2 for _ in range(20))


def test_every_command_has_help() -> None:
    for name in cli.main.commands:
        assert invoke(name, "-h").exit_code == 0


def test_version() -> None:
    assert "0." in invoke("--version").stdout


def test_a_right_target_conforms(targets: str) -> None:
    result = invoke("check", f"{targets}:stable", "--as", "sigmoid", "--examples", "3")
    assert result.exit_code == 0, result.output
    assert "conforms" in result.stdout.splitlines()[0]


@pytest.mark.parametrize("name", ["halved", "flat", "whole", "text"])
def test_a_wrong_target_is_a_finding(targets: str, name: str) -> None:
    result = invoke("check", f"{targets}:{name}", "--as", "sigmoid", "--examples", "0")
    assert result.exit_code == 1, result.output
    assert "DEVIATES" in result.stdout.splitlines()[0]


def test_json_answer_has_the_form_of_the_contract(targets: str, tmp_path: Path) -> None:
    file = tmp_path / "answer.json"
    invoke("check", f"{targets}:halved", "--as", "sigmoid", "--json", str(file), "--examples", "0")
    answer = json.loads(file.read_text())
    assert answer["schema"] == "dlcheck.check/1"
    assert answer["verdict"] == "deviates"
    assert {"id", "status", "examples"} <= set(answer["checks"][0])
    keys = {"check", "severity", "summary", "flag", "parameters", "expected", "got", "allowed", "reproduce"}
    assert keys <= set(answer["findings"][0])
    assert {check["status"] for check in answer["checks"]} <= {"pass", "fail", "not_provided", "error"}


@pytest.mark.parametrize(
    ("target", "component", "words"),
    [
        ("stable", "sigmoyd", ["unknown component 'sigmoyd'", "did you mean sigmoid"]),
        ("missing", "sigmoid", ["has no 'missing'", "stable"]),
        ("number", "sigmoid", ["the target is 3, which cannot be called"]),
        ("stable", "Sigmoid", ["did you mean sigmoid?"]),
        ("Needy", "sigmoid", ["width", "depth"]),
    ],
)
def test_wrong_calls_say_what_was_tried(targets: str, target: str, component: str, words: list[str]) -> None:
    assert_wrong_call(invoke("check", f"{targets}:{target}", "--as", component), *words)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("nowhere.py:f", ["nowhere.py"]),
        ("no_such_package:f", ["no_such_package"]),
        ("torch.optim.Adam", ["path/to/file.py:name", "package.module:name"]),
        ("torch.optim:NoSuch", ["NoSuch"]),
    ],
)
def test_absent_targets_are_wrong_calls(target: str, words: list[str]) -> None:
    assert_wrong_call(invoke("check", target, "--as", "sigmoid"), *words)


@pytest.mark.parametrize("line", ["import no_such_module", "1 / 0", "def f(:"])
def test_import_errors_show_the_targets_own_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "broken.py"
    path.write_text(f"import math\n{line}\n")
    assert_wrong_call(invoke("check", f"{path}:f", "--as", "sigmoid"), "broken.py:2", line)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--set", "sharpness=2"], ["sharpness"]),
        (["--set", "sharpness"], ["key=value"]),
        (["--set", "a=1", "--set", "a=2"], ["--set a is given twice"]),
        (["--convention", "epsilon=outside"], ["epsilon"]),
        (["--examples", "-1"], ["-1"]),
        (["--timeout", "0"], ["timeout is 0.0, expected seconds"]),
        (["--timeout", "nan"], ["timeout is nan, expected seconds"]),
        (["--timeout", "inf"], ["timeout is inf, expected seconds"]),
        (["--device", "tpu"], ["device is 'tpu', expected cpu or cuda"]),
        (["--seed", "x"], ["'x' is not a valid integer", "dlcheck check --help"]),
        (["--seed", "-1"], ["seed is -1, expected a whole number"]),
        (["--sed", "1"], ["No such option", "--seed"]),
    ],
)
def test_bad_options_are_wrong_calls(targets: str, options: list[str], words: list[str]) -> None:
    assert_wrong_call(invoke("check", f"{targets}:stable", "--as", "sigmoid", *options), *words)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_no_fault_of_the_target(targets: str) -> None:
    result = invoke("check", f"{targets}:stable", "--as", "sigmoid", "--device", "cuda")
    assert_wrong_call(result, "device is cuda, which torch does not find here")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import os; os._exit(0)", ["cannot be loaded", "ended the interpreter (exit status 0)"]),
        ("while True: pass", ["cannot be loaded", "did not answer within 1 seconds"]),
        (
            "class Odd:\n __call__ = max\n def __getattr__(self, name): raise RuntimeError('no')\nsigmoid = Odd()",
            ["cannot be used: it raised RuntimeError: no"],
        ),
    ],
)
def test_a_target_that_cannot_even_be_loaded_is_a_wrong_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, words: list[str]
) -> None:
    monkeypatch.setattr(isolation, "LOADING", 1.0)
    (tmp_path / "odd.py").write_text(text)
    result = invoke("check", f"{tmp_path}/odd.py:sigmoid", "--as", "sigmoid", "--timeout", "1")
    assert_wrong_call(result, *words)


@pytest.mark.parametrize("value", ["abc", "none"])
def test_a_fixed_setting_that_the_reference_cannot_take_is_a_wrong_call(value: str) -> None:
    result = invoke("check", "torch.nn.functional:leaky_relu", "--as", "leaky_relu", "--set", f"negative_slope={value}")
    assert_wrong_call(result, "negative_slope must be a number")


def test_a_number_that_is_none_is_read_as_one() -> None:
    assert math.isnan(cli.Pairs(literal=True).convert("key=nan", None, None)[1])


def test_an_interruption_has_the_status_of_one(targets: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(conformance, "check", interrupted)
    result = invoke("check", f"{targets}:stable", "--as", "sigmoid")
    assert result.exit_code == 130
    assert result.stderr == "dlcheck: interrupted\n"


def test_a_module_that_needs_its_package_says_how_to_name_it(tmp_path: Path) -> None:
    (tmp_path / "part.py").write_text("from ..helper import sigmoid")
    assert_wrong_call(invoke("check", f"{tmp_path}/part.py:sigmoid", "--as", "sigmoid"), "package.module:name")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_exhaust_needs_the_device_that_it_is_given() -> None:
    assert_wrong_call(invoke("exhaust", "relu", "--device", "cuda"), "device is cuda, which torch does not find here")


def test_the_answer_may_take_the_place_of_the_report(targets: str) -> None:
    result = invoke("check", f"{targets}:stable", "--as", "sigmoid", "--examples", "0", "--json", "-")
    assert json.loads(result.stdout)["verdict"] == "conforms"


def test_nothing_is_left_in_the_callers_folder(targets: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dlcheck", "check", f"{targets}:stable", "--as", "sigmoid"]
    environment = {"HOME": str(tmp_path / "home"), "PATH": os.environ["PATH"]}
    (tmp_path / "empty").mkdir()
    done = subprocess.run(command, cwd=tmp_path / "empty", env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not list((tmp_path / "empty").iterdir())


def test_an_unwritable_answer_is_a_wrong_call(targets: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    blocked = str(tmp_path / "file" / "answer.json")
    result = invoke("check", f"{targets}:stable", "--as", "sigmoid", "--examples", "0", "--json", blocked)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_a_demanded_convention_is_a_finding_where_another_is_followed() -> None:
    options = ["--as", "adam", "--convention", "epsilon=inside_sqrt", "--examples", "0"]
    assert invoke("check", "torch.optim:Adam", *options).exit_code == 1


def test_an_unknown_option_of_a_convention_is_a_wrong_call() -> None:
    result = invoke("check", "torch.optim:Adam", "--as", "adam", "--convention", "epsilon=inside_sqr")
    assert_wrong_call(result, "inside_sqrt")


def test_a_failure_of_our_own_has_status_three(targets: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("something of ours")

    monkeypatch.setattr(conformance, "check", broken)
    result = invoke("check", f"{targets}:stable", "--as", "sigmoid")
    assert result.exit_code == 3
    assert result.stderr.startswith("dlcheck itself failed: RuntimeError: something of ours (")
    assert result.stderr.count("\n") == 1


def test_python_without_assertions_is_refused(targets: str) -> None:
    code = f"from dlcheck.cli import main; main(['check', '{targets}:stable', '--as', 'sigmoid'])"
    run = subprocess.run([sys.executable, "-O", "-c", code], capture_output=True, text=True)
    assert run.returncode == 2
    assert "python -O" in run.stderr
    assert run.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("False", False),
        ("none", None),
        ("0.9", 0.9),
        ("-inf", -math.inf),
        ("(0.9, 0.99)", (0.9, 0.99)),
        ("mean", "mean"),
    ],
)
def test_values_are_python_literals_or_text(text: str, value: Any) -> None:
    assert cli.Pairs(literal=True).convert(f"key={text}", None, None) == ("key", value)


def test_values_may_hold_equals_signs() -> None:
    assert cli.Pairs().convert("axis=a=b", None, None) == ("axis", "a=b")
    with pytest.raises(click.BadParameter, match="not of the form key=value"):
        cli.Pairs().convert("=b", None, None)


@pytest.mark.parametrize("kind", ["components", "claims", "faults", "conventions"])
def test_list_as_table_and_as_json(kind: str) -> None:
    rows = json.loads(invoke("list", kind, "--json").stdout)
    assert rows
    assert invoke("list", kind).stdout.rstrip().endswith(f"{len(rows)} in all")


def test_a_list_is_not_cut_where_no_terminal_reads_it() -> None:
    shown = invoke("list", "components").stdout
    assert all(component.model in shown for component in registry.components().values())
    assert len(shown.splitlines()) <= len(registry.components()) + 6


def test_an_unknown_name_is_not_met_with_all_that_are_known() -> None:
    result = invoke("explain", "qqqqqqqq")
    assert_wrong_call(result, "known are ", " more")
    assert len(result.stderr) < 1500


def test_list_has_every_component() -> None:
    rows = json.loads(invoke("list", "components", "--json").stdout)
    assert [row["component"] for row in rows] == list(registry.components())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("adam", ["component adam", "drop-in for", "torch.optim.Adam", "epsilon: outside_sqrt"]),
        ("adam.epsilon", ["convention epsilon of adam", "inside_sqrt", "followed by"]),
        ("optimizers.adam.first_step", ["check optimizers.adam.first_step", "fixed"]),
    ],
)
def test_explain(name: str, words: list[str]) -> None:
    result = invoke("explain", name)
    assert result.exit_code == 0, result.output
    for word in words:
        assert word in result.stdout


def test_explain_judges_a_claim_on_the_spot() -> None:
    text = invoke("explain", "chain-rule.sigmoid-jacobian").stdout
    for word in ("judged just now: holds", "evidence", "proof: ", "size"):
        assert word in text


def test_explain_knows_every_claim_and_fault() -> None:
    from dlcheck.explain import explain

    for claim in registry.claims().values():
        assert claim.says in explain(claim.id)
    for fault in registry.faults().values():
        assert fault.fix in explain(fault.id)


def test_explain_of_an_axis_tells_of_every_component_that_has_it() -> None:
    text = invoke("explain", "weight_decay").stdout
    assert "of sgd" in text
    assert "of adamw" in text


def test_explain_suggests() -> None:
    assert_wrong_call(invoke("explain", "adm"), "did you mean adam")


def test_report_renders_results_again(tmp_path: Path) -> None:
    found = tmp_path / "results.json"
    run = invoke(
        "verify", "-k", "test_conforms and sgd and reference", "-n", "0", "--profile", "quick", "--json", str(found),
        "--html", str(tmp_path / "first.html"),
    )  # fmt: skip
    assert run.exit_code == 0, run.output
    again = invoke("report", str(found), "--html", str(tmp_path / "again.html"))
    assert again.exit_code == 0
    assert again.stdout == f"written: {tmp_path / 'again.html'}\n"
    assert (tmp_path / "again.html").read_text() == (tmp_path / "first.html").read_text()
    # the controls, which are sigmoids, run beside what was asked for
    assert {component["name"] for component in results.read(found)["components"]} == {"sgd", "sigmoid"}


def test_verify_has_pytests_exit_status(tmp_path: Path) -> None:
    paths = ["--json", str(tmp_path / "a.json"), "--html", str(tmp_path / "a.html")]
    assert invoke("verify", "-k", "no_such_item", "-n", "0", *paths).exit_code == pytest.ExitCode.NO_TESTS_COLLECTED


@pytest.mark.parametrize("command", [["report", "FILE"], ["diff", "FILE", "FILE"]])
@pytest.mark.parametrize("content", [None, "no json", "{}"])
def test_files_that_are_no_results_are_wrong_calls(tmp_path: Path, command: list[str], content: str | None) -> None:
    file = tmp_path / "other.json"
    if content is not None:
        file.write_text(content)
    assert_wrong_call(invoke(*(str(file) if word == "FILE" else word for word in command)))


def test_diff_shows_what_changed_and_tells_by_its_status(tmp_path: Path) -> None:
    empty = {"schema": results.SCHEMA, "components": []}
    before, after = tmp_path / "a.json", tmp_path / "b.json"
    before.write_text(json.dumps({**empty, "claims": [{"id": "c", "verdict": "holds"}]}))
    after.write_text(json.dumps({**empty, "claims": [{"id": "c", "verdict": "refuted"}]}))
    assert invoke("diff", str(before), str(before)).exit_code == 0
    result = invoke("diff", str(before), str(after))
    assert result.exit_code == 1
    assert result.stdout == "claim c: holds -> refuted\n1 verdicts differ\n"


def test_doctor_tells_versions_devices_and_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    text = invoke("doctor").stdout
    assert "torch 2" in text
    assert "devices: cpu" in text
    assert "faster: OMP_WAIT_POLICY=PASSIVE" in text
