"""``[tool.dlcheck]``: what a project declares is checked by one flag of pytest, or one command; waivers are strict."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dlcheck.cli import main
from dlcheck.conformance.project import BadDeclaration, read
from dlcheck.registry import UnknownName

CODE = """
import torch

def relu(x):
    return torch.clamp(x, min=0)

def doubled(x):
    return 2 * torch.sigmoid(x)
"""
TABLE = """
[tool.dlcheck]
examples = 0

[[tool.dlcheck.targets]]
target = "mine.py:relu"
component = "relu"
{relu}

[[tool.dlcheck.targets]]
target = "mine.py:doubled"
component = "sigmoid"
{doubled}
"""
EVERY_VALUE = "\n".join(
    f'waivers."activations.sigmoid.{name}" = "twice the sigmoid, on purpose"'
    for name in ("values", "nan", "gradient", "extremes", "float32", "half", "shapes", "layouts")
)


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("COLUMNS", "300")
    pytester.makepyfile(mine=CODE)
    return pytester


def declare(relu: str = "", doubled: str = "") -> None:
    Path("pyproject.toml").write_text(TABLE.format(relu=relu, doubled=doubled))


def checked(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["check", "--config", "pyproject.toml", *arguments])


def test_one_flag_checks_what_is_declared(project: pytest.Pytester) -> None:
    declare(relu='conventions = { gradient_at_zero = "0" }')
    run = project.runpytest_subprocess("--dlcheck", "--dlcheck-json=r.json", "-p", "no:cacheprovider", "-rf")
    run.stdout.fnmatch_lines(["FAILED pyproject.toml::mine.py:doubled as sigmoid::*.sigmoid.values - sigmoid: *"])
    run.stdout.fnmatch_lines(["FAILED *::activations.relu.convention.gradient_at_zero - relu: *0 was demanded*"])
    assert {c["name"] for c in json.loads(Path("r.json").read_text())["components"]} == {"relu", "sigmoid"}
    assert run.parseoutcomes()["passed"] > 10


def test_a_waived_check_is_shown_and_a_stale_waiver_fails(project: pytest.Pytester) -> None:
    declare(doubled=EVERY_VALUE, relu='waivers."activations.relu.values" = "not so"')
    run = project.runpytest_subprocess("--dlcheck", "-n", "2", "-p", "no:cacheprovider", "-rfx")
    run.stdout.fnmatch_lines(["XFAIL *::activations.sigmoid.values*twice the sigmoid, on purpose*"])
    run.stdout.fnmatch_lines(["FAILED *::activations.relu.values - *stale: it passes (not so)*"])


def test_without_the_flag_nothing_is_added(project: pytest.Pytester) -> None:
    declare()
    project.makepyfile(test_own="def test_one(): pass")
    project.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_one_command_checks_what_is_declared(project: pytest.Pytester) -> None:
    declare()
    result = checked("--json", "r.json")
    assert result.exit_code == 1, result.output
    assert result.stdout.rstrip().splitlines()[-1].startswith("2 targets, ")
    assert [answer["verdict"] for answer in json.loads(Path("r.json").read_text())] == ["conforms", "deviates"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no table [tool.dlcheck]"),
        ("[tool.dlcheck]", "declares no [[tool.dlcheck.targets]]"),
        ("[tool.dlcheck]\nspeed = 1", "has 'speed'; it may have seed"),
        (
            "[[tool.dlcheck.targets]]\ntarget = 'a.py:f'",
            "target 1 of [tool.dlcheck] needs component, a string, got None",
        ),
        ("[[tool.dlcheck.targets]]\ntarget = 'a.py:f'\ncomponent = 'relu'\nwaivers = 1", "waivers of target 1"),
        (
            "[[tool.dlcheck.targets]]\ntarget = 'a.py:f'\ncomponent = 'relu'\nwaivers.'activations.relu.nan' = ''",
            "the waiver of activations.relu.nan in target 1 of [tool.dlcheck] needs a reason",
        ),
        ("tool = [", "pyproject.toml cannot be read: "),
    ],
)
def test_a_bad_table_is_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text(text)
    with pytest.raises(BadDeclaration) as error:
        read(path)
    assert words in str(error.value)


@pytest.mark.parametrize("line", ["component = 'rleu'", "component = 'relu'\nwaivers.'activations.relu.value' = 'why'"])
def test_an_unknown_name_is_met_with_a_suggestion(tmp_path: Path, line: str) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text(f"[[tool.dlcheck.targets]]\ntarget = 'a.py:f'\n{line}")
    with pytest.raises(UnknownName, match="did you mean"):
        read(path)


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["check", "--config", str(tmp_path / "none.toml")])
    assert result.exit_code == 2
    assert "no file" in result.output


def test_config_stands_alone() -> None:
    result = CliRunner().invoke(main, ["check", "a.py:f", "--config", "pyproject.toml"])
    assert result.exit_code == 2
    assert "give nothing beside it" in result.output
