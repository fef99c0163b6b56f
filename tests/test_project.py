"""``[tool.dlcheck]``: what a project declares is checked by one flag of pytest, or one command; waivers are strict."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dlcheck.cli import main
from dlcheck.conformance.project import BadDeclaration, read

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
    run.stdout.fnmatch_lines(["check: 30 judged, *8 waived*"])
    run.stdout.no_fnmatch_line("*check activations.sigmoid.values on *")


def test_a_waived_failure_is_none_for_the_command_either(project: pytest.Pytester) -> None:
    declare(doubled=EVERY_VALUE)
    result = checked("--json", "r.json")
    assert "  activations.sigmoid.values is waived (twice the sigmoid, on purpose): sigmoid: " in result.stdout
    doubled = json.loads(Path("r.json").read_text())[1]
    of_waived = [finding for finding in doubled["findings"] if finding["check"] == "activations.sigmoid.values"]
    assert [finding["severity"] for finding in of_waived] == ["waived"]
    assert {"activations.sigmoid.values": "waived"}.items() <= {c["id"]: c["status"] for c in doubled["checks"]}.items()


def test_files_are_looked_for_from_the_folder_of_the_table(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(doubled=EVERY_VALUE)
    (project.path / "tests").mkdir()
    (project.path / "tests" / "test_own.py").write_text("def test_one(): pass")
    monkeypatch.chdir(project.path / "tests")
    run = project.runpytest_subprocess("--dlcheck", ".", "-p", "no:cacheprovider", "-k", "relu or own")
    assert run.ret == 0
    run.stdout.fnmatch_lines(["check: 16 judged, *"])
    assert (
        CliRunner()
        .invoke(main, ["check", "--config", "../pyproject.toml"])
        .output.startswith("relu  mine.py:relu  conf")
    )


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_bad_table_ends_the_run_at_once(project: pytest.Pytester, workers: str) -> None:
    declare(relu="sed = 1")
    run = project.runpytest_subprocess("--dlcheck", "-n", workers)
    assert run.ret == pytest.ExitCode.USAGE_ERROR
    run.stderr.fnmatch_lines(["ERROR: --dlcheck: target 1 of [[]tool.dlcheck[]] has 'sed'; *"])
    assert "INTERNALERROR" not in run.stdout.str()


def test_a_target_that_cannot_be_loaded_is_one_line_for_each_check(project: pytest.Pytester) -> None:
    declare()
    project.makepyfile(mine="open('loaded', 'a').write('once ')\nimport no_such_module")
    run = project.runpytest_subprocess("--dlcheck", "-n", "0", "-p", "no:cacheprovider", "-k", "relu")
    run.stdout.fnmatch_lines(["target 1 of [[]tool.dlcheck[]]: mine.py cannot be imported: ModuleNotFoundError: *"])
    assert len(run.outlines) < 70
    assert Path("loaded").read_text() == "once "


def test_a_check_can_be_run_alone_and_equal_targets_are_told_apart(project: pytest.Pytester) -> None:
    Path("pyproject.toml").write_text(TABLE.format(relu="", doubled="").replace("mine.py:doubled", "mine.py:relu"))
    Path("pyproject.toml").write_text(Path("pyproject.toml").read_text().replace('"sigmoid"', '"relu"'))
    id = "pyproject.toml::mine.py:relu (2) as relu::activations.relu.values"
    listed = project.runpytest_subprocess("--dlcheck", "--collect-only", "-q", "-p", "no:cacheprovider").outlines
    assert listed.count(id) == listed.count(id.replace(" (2)", "")) == 1
    run = project.runpytest_subprocess("--dlcheck", id, "-p", "no:cacheprovider", "-v")
    run.assert_outcomes(passed=1)


def test_options_of_the_run_reach_what_is_declared(project: pytest.Pytester) -> None:
    declare(doubled="seed = 3")
    options = "--dlcheck-seed=7", "--dlcheck-profile=quick", "-p", "no:cacheprovider"
    run = project.runpytest_subprocess("--dlcheck", *options, "-k", "doubled and values")
    run.stdout.fnmatch_lines(["*replay * dlcheck check mine.py:doubled --as sigmoid --seed 7 --examples 5"])


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
        ("tool = [", "pyproject.toml cannot be read: "),
        ("tool = 3", "has no table [tool.dlcheck]"),
        ("[tool]\ndlcheck = 'x'", "[tool.dlcheck] must be a table, got 'x'"),
        ("[[tool.dlcheck]]\nseed = 1", "[tool.dlcheck] must be a table, got [{'seed': 1}]"),
        ("[tool.dlcheck]\ndevice = 'tpu'", "[tool.dlcheck]: device is 'tpu', expected cpu or cuda"),
    ],
)
def test_a_bad_table_is_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text(text)
    with pytest.raises(BadDeclaration) as error:
        read(path)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("component = 'rleu'", "unknown component 'rleu'; did you mean relu"),
        ("seed = 'x'", "seed is 'x', expected a whole number"),
        ("examples = 1.5", "examples is 1.5, expected a whole number"),
        ("timeout = nan", "timeout is nan, expected seconds"),
        ("device = 3", "device is 3, expected cpu or cuda"),
        ("settings = [1]", "settings is [1], expected a table"),
        ("settings = { x = 2020-01-01 }", "x is datetime.date(2020, 1, 1), expected numbers, text"),
        ("conventions = { gradient_at_zero = 0 }", "the convention gradient_at_zero is 0, expected text: '0' or"),
        ("conventions = { gradient_at_zero = ['0'] }", "the convention gradient_at_zero is ['0'], expected text"),
        ("waivers = 1", "waivers is 1, expected a table"),
        ("waivers.'activations.relu.nan' = '  '", "the waiver of activations.relu.nan needs a reason, got '  '"),
        ("waivers.activations.relu.nan = 'why'", 'an id with dots stands in quotes, as waivers."activations.relu.'),
        ("waivers.nan = 'why'", "unknown check 'nan'; did you mean activations.relu.nan?"),
    ],
)
def test_a_bad_entry_is_one_sentence_that_names_it(tmp_path: Path, lines: str, words: str) -> None:
    path = tmp_path / "pyproject.toml"
    component = "" if "component" in lines else "component = 'relu'\n"
    path.write_text(f"[[tool.dlcheck.targets]]\ntarget = 'a.py:f'\n{component}{lines}")
    with pytest.raises(BadDeclaration) as error:
        read(path)
    assert str(error.value).startswith("target 1 of [tool.dlcheck]: ")
    assert words in str(error.value)


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["check", "--config", str(tmp_path / "none.toml")])
    assert result.exit_code == 2
    assert "no file" in result.output


def test_config_stands_alone() -> None:
    result = CliRunner().invoke(main, ["check", "a.py:f", "--config", "pyproject.toml"])
    assert result.exit_code == 2
    assert "give nothing beside it" in result.output
