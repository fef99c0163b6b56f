"""The plugin is a good guest, and what dlcheck's items find reaches terminal, JSON, junit and step summary."""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

GUEST = "def test_nothing(): pass"

JUDGES = """
    import pytest
    from dlcheck import outcomes, results

    @pytest.mark.parametrize("number", range(4))
    def test_judged(number, request):
        wrong = "bias correction is missing" if number == 3 else ""
        record = outcomes.record(
            "check", f"optimizers.adam.check{number}", "fail" if wrong else "pass", component="adam",
            implementation="MyAdam", message=wrong, says="it agrees", severity="error", cases=1, worst=0.5,
        )
        request.node.user_properties.append(("dlcheck", results.dumps([record])))
        assert not wrong, wrong
"""


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """pytest in its own process, so that what the run loads is seen."""
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments)


def test_guest_run_is_silent_and_loads_nothing(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # other plugins load what they like
    heavy = {"numpy", "torch", "sympy", "hypothesis", "click", "jinja2", "dlcheck.registry", "dlcheck.results"}
    pytester.makepyfile(f"import sys\ndef test_modules(): assert set() == {heavy} & set(sys.modules)")
    result = run(pytester, "-p", "dlcheck.pytest_plugin", "-W", "error", "--dlcheck-json=out.json")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*= dlcheck =*")
    assert not (pytester.path / "out.json").exists()


def test_plugin_imports_in_a_twentieth_of_the_time_of_pytest() -> None:
    code = (
        "from time import process_time as now; start = now(); import pytest; middle = now(); "
        "import dlcheck.pytest_plugin; print((now() - middle) / (middle - start))"
    )
    runs = (subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(20))
    assert any(float(run.stdout) <= 0.05 for run in runs)


def test_options_stand_in_one_group(pytester: pytest.Pytester) -> None:
    text = run(pytester, "--help").stdout.str()
    group = text[text.index("dlcheck: verification of deep-learning components") :].split("\n\n")[0]
    assert text.count("--dlcheck-") - text.count("(--dlcheck-") == group.count("--dlcheck-") == 5


def test_markers_are_registered(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("import pytest\n@pytest.mark.gpu\n@pytest.mark.peers\ndef test_marked(): pass")
    run(pytester, "--strict-markers").assert_outcomes(passed=1)


@pytest.mark.parametrize("workers", ["0", "2"])
def test_records_become_json(pytester: pytest.Pytester, workers: str) -> None:
    pytester.makepyfile(JUDGES)
    result = run(
        pytester, "-n", workers, "--dlcheck-json=out/found.json", "--dlcheck-seed=7", "--dlcheck-profile=quick"
    )
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["written: out/found.json"])
    found = json.loads((pytester.path / "out" / "found.json").read_text())
    assert found["environment"]["seed"] == 7
    assert found["environment"]["profile"] == "quick"
    assert found["summary"]["checks"] == {
        "total": 4,
        "pass": 3,
        "fail": 1,
        "not_provided": 0,
        "error": 0,
        "waived": 0,
        "advised": 0,
    }
    assert [component["name"] for component in found["components"]] == ["adam"]


def test_html_option_writes_the_report(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(JUDGES)
    run(pytester, "--dlcheck-html=report.html")
    assert "bias correction is missing" in (pytester.path / "report.html").read_text()


def test_terminal_names_what_is_wrong(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(JUDGES)
    run(pytester).stdout.fnmatch_lines(
        [
            "*= dlcheck =*",
            "check: 4 judged, 3 pass, 1 fail",
            "  check optimizers.adam.check3 on MyAdam: bias correction is missing",
        ]
    )


def test_quiet_success_prints_no_section(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(JUDGES)
    run(pytester, "-q", "-k", "0").stdout.no_fnmatch_line("*= dlcheck =*")
    run(pytester, "-k", "0").stdout.fnmatch_lines(["*= dlcheck =*", "check: 1 judged, 1 pass"])


def test_junit_holds_the_record(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(JUDGES)
    run(pytester, "-n", "2", "--junitxml=junit.xml")
    properties = ElementTree.parse(pytester.path / "junit.xml").findall(".//property[@name='dlcheck']")
    assert len(properties) == 4
    assert json.loads(properties[0].attrib["value"])[0]["kind"] == "check"


CLAIMS = """
    import dlcheck, torch
    from dlcheck.judgement import Evidence, Judgement

    @dlcheck.claim("mine.one", says="One is one.", sources=(), evidence="exhaustive", verdict="holds")
    def one_is_one():
        return Judgement(Evidence("exhaustive", "one", {"cases": 1}), confirmed=True)

    test_relu = dlcheck.conformance_tests(torch.relu, "relu", examples=0)
"""


def test_junit_and_strict_warnings_go_together(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(CLAIMS)
    result = run(pytester, "-W", "error", "--junitxml=junit.xml", "-k", "one or values")
    result.assert_outcomes(passed=2, deselected=15)
    properties = ElementTree.parse(pytester.path / "junit.xml").findall(".//property[@name='dlcheck']")
    assert [json.loads(found.attrib["value"])[0]["kind"] for found in properties] == ["claim", "check"]


def test_what_is_expected_or_harms_nobody_is_no_failure(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = pytester.path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    pytester.makepyfile(
        """
        import dlcheck, torch

        def odd(x):
            return torch.where(x.isinf(), 0.0, torch.relu(x)) * (1.5 if x.dtype == torch.float16 else 1.0)

        waived = {"activations.relu.half": "never run in half precision"}
        test_relu = dlcheck.conformance_tests(odd, "relu", examples=0, waivers=waived)
        """
    )
    result = run(pytester, "--dlcheck-json=found.json", "--dlcheck-html=found.html")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["check: 16 judged, *1 waived*"])
    result.stdout.no_fnmatch_line("*: 16 judged*fail*")
    assert "fail" not in summary.read_text()
    counts = json.loads((pytester.path / "found.json").read_text())["summary"]["checks"]
    assert counts["fail"] == 0
    assert (counts["waived"], counts["advised"]) == (1, 1)
    assert "2 waived or advised" in (pytester.path / "found.html").read_text()


def test_step_summary_lists_what_is_wrong_first(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = pytester.path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    pytester.makepyfile(JUDGES)
    run(pytester)
    lines = summary.read_text().split("\n")
    assert lines[2] == "- **fail** check optimizers.adam.check3 on MyAdam: bias correction is missing"
    assert "- check: 4 judged, 3 pass, 1 fail" in lines


def test_step_summary_is_left_alone_by_guests(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(pytester.path / "summary.md"))
    pytester.makepyfile(GUEST)
    run(pytester).assert_outcomes(passed=1)
    assert not (pytester.path / "summary.md").exists()


def test_unwritable_step_summary_fails_nothing(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(pytester.path / "absent" / "summary.md"))
    pytester.makepyfile(JUDGES)
    run(pytester, "-k", "0").assert_outcomes(passed=1, deselected=3)


@pytest.mark.parametrize(("name", "ini"), [("dlcheck_seed", "5"), ("dlcheck_profile", "deep")])
def test_ini_twins_of_options(pytester: pytest.Pytester, name: str, ini: str) -> None:
    pytester.makeini(f"[pytest]\n{name} = {ini}")
    pytester.makepyfile(JUDGES)
    run(pytester, "--dlcheck-json=found.json")
    environment = json.loads((pytester.path / "found.json").read_text())["environment"]
    assert str(environment[name.removeprefix("dlcheck_")]) == ini


@pytest.mark.parametrize("option", ["--dlcheck-seed=x", "--dlcheck-profile=slow", "--dlcheck-device=tpu"])
def test_bad_options_are_usage_errors(pytester: pytest.Pytester, option: str) -> None:
    pytester.makepyfile(GUEST)
    assert run(pytester, option).ret == pytest.ExitCode.USAGE_ERROR


@pytest.mark.parametrize(("name", "value"), [("seed", "x"), ("profile", "slow"), ("device", "tpu")])
def test_bad_ini_values_are_usage_errors(pytester: pytest.Pytester, name: str, value: str) -> None:
    pytester.makeini(f"[pytest]\ndlcheck_{name} = {value}")
    pytester.makepyfile(JUDGES)
    result = run(pytester)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: dlcheck_{name}*{value}*"])


def test_refuses_to_run_without_assertions(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(JUDGES)
    result = pytester.run(sys.executable, "-O", "-W", "ignore", "-m", "pytest", "-p", "no:cacheprovider")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *python -O*"])


def test_guest_may_run_without_assertions(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(GUEST)
    result = pytester.run(sys.executable, "-O", "-W", "ignore", "-m", "pytest", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, warnings=1)


def test_workers_share_the_cores(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    share = max(1, (os.cpu_count() or 1) // 2)
    pytester.makepyfile(
        f"""
        import os, torch, threadpoolctl
        import dlcheck.registry

        def test_threads():
            assert torch.get_num_threads() == {share}
            assert os.environ["OMP_NUM_THREADS"] == "{share}"
            assert all(pool["num_threads"] <= {share} for pool in threadpoolctl.threadpool_info())
        """
    )
    run(pytester, "-n", "2").assert_outcomes(passed=1)


def test_plugin_can_be_switched_off(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(JUDGES)
    result = run(pytester, "-p", "no:dlcheck", "--strict-markers")
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.no_fnmatch_line("*= dlcheck =*")


def test_loads_by_name_without_entry_points(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(JUDGES)
    run(pytester, "-p", "dlcheck.pytest_plugin", "-k", "0").stdout.fnmatch_lines(["*= dlcheck =*"])


def test_conformance_tests_in_a_users_file(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_mine="""
        import dlcheck, torch

        class Forgetful(torch.optim.SGD):
            def step(self, closure=None):
                pass

        test_sgd = dlcheck.conformance_tests(Forgetful, "sgd")
        """
    )
    result = run(pytester, "--strict-markers", "--dlcheck-json=found.json")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["FAILED test_mine.py::test_sgd[[]optimizers.sgd.first_step] - sgd: *"])
    component = json.loads(Path(pytester.path / "found.json").read_text())["components"][0]
    assert component["name"] == "sgd"
    assert "test_mine:Forgetful" in [implementation["name"] for implementation in component["implementations"]]
