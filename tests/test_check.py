"""``check`` and ``conformance_tests``: verdict, conventions and mistake by name, the form of the answer."""

import json
import math
import random
from pathlib import Path

import numpy as np
import pytest
import torch

import dlcheck
from dlcheck import registry, results
from dlcheck.component import Case
from dlcheck.conformance.check import judge
from dlcheck.conformance.common_checks import all_checks
from dlcheck.conformance.comparison import Trial
from dlcheck.conformance.diagnosis import combinations, reference
from dlcheck.conformance.implementation import Implementation, Observation, Refused
from dlcheck.conformance.oracle import Reference
from dlcheck.conformance.snippets import snippet

OPTIMIZERS = Path(__file__).parent / "strangers" / "optimizers.py"
ADAM, SIGMOID, CONSTANT = (registry.components()[name] for name in ("adam", "sigmoid", "constant_"))


@pytest.fixture(scope="module")
def wrong() -> dlcheck.conformance.findings.Report:
    return dlcheck.check(f"{OPTIMIZERS}:NoPowerAdam", "adam")


def test_a_documented_convention_conforms_and_is_named():
    report = dlcheck.check(f"{OPTIMIZERS}:KerasAdam", "adam")
    assert report.conforms, str(report)
    assert {"epsilon": "hat", "bias_correction": "on", "default_eps": "1e-7"}.items() <= report.conventions.items()
    assert "weight_decay" not in report.conventions


def test_a_demanded_convention_that_is_not_followed_deviates():
    report = dlcheck.check(f"{OPTIMIZERS}:KerasAdam", "adam", conventions={"epsilon": "outside_sqrt"}, examples=0)
    assert not report.conforms
    assert [f.summary for f in report.findings] == ["adam: epsilon follows hat, outside_sqrt was demanded"]


def test_a_known_mistake_is_named_first_with_all_that_helps(wrong):
    first = wrong.findings[0]
    assert not wrong.conforms
    assert first.flag == "opt-adam-bias-correction-no-power"
    assert first.summary == "adam: bias correction divides by 1 - beta, not 1 - beta^t"
    assert {"check", "source", "input", "expected", "got", "pattern", "diagnosis", "fix", "replay"} <= set(
        first.details
    )
    assert "t=1: 1 " in first.details["pattern"]


def test_an_unknown_mistake_says_so():
    report = dlcheck.check(f"{OPTIMIZERS}:OddAdam", "adam", examples=0)
    assert not report.conforms
    assert report.findings[0].flag is None
    assert report.findings[0].details["diagnosis"] == "no known mistake matches"


def hasty_cross_entropy(input, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    """Ignores weights and smoothing, and divides by all examples; its sum of exponentials overflows."""
    log_p = input - input.exp().sum(1, keepdim=True).log()
    losses = -log_p.gather(1, target.clamp(min=0).unsqueeze(1)).squeeze(1) * (target != ignore_index)
    return losses.mean() if reduction == "mean" else losses.sum() if reduction == "sum" else losses


def only_float32(input, dim=-1):
    if input.dtype != torch.float32:
        raise TypeError("only float32")
    return torch.softmax(input, dim)


def in_float32(input, dim=-1):
    return torch.softmax(input.float(), dim).to(input.dtype)


@pytest.mark.parametrize(
    ("target", "words"), [(only_float32, "it takes no float64"), (in_float32, "it computes in float32")]
)
def test_what_computes_in_float32_is_judged_in_it(target, words):
    report = dlcheck.check(target, "softmax")
    assert report.conforms
    assert [finding.summary for finding in report.findings if words in finding.summary]


@pytest.mark.parametrize(
    "target",
    [
        lambda input, dim=-1: torch.softmax(input.float(), dim),
        lambda input, dim=-1: torch.softmax(input, dim).add(torch.softmax(input.float(), dim)) / 2,
        lambda input, dim=-1: torch.softmax(input.float(), dim).square().to(input.dtype),
    ],
    ids=["another dtype comes back", "half of it", "another function"],
)
def test_a_deviation_is_not_excused_by_float32(target):
    assert not dlcheck.check(target, "softmax").conforms


class SlopeInTraining(torch.nn.LeakyReLU):
    def forward(self, input):
        return torch.nn.functional.leaky_relu(input, self.negative_slope if self.training else 0.01)


class LooseBias(torch.nn.Linear):
    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
        del self.bias
        self.bias = torch.zeros(out_features)


class ForgetsInPlace(torch.nn.LeakyReLU):
    def forward(self, input):
        return torch.nn.functional.leaky_relu(input, 0.2 if self.inplace else self.negative_slope)


def switches_on(tensor, mean=0.0, std=1.0):
    return torch.nn.init.normal_(tensor, mean, std).requires_grad_()


def clipped_noise(image, std, generator):
    return image + std * torch.randn(image.shape, generator=generator, dtype=image.dtype).clamp(-2.5, 2.5)


def noise_of_python(image, std, generator):
    torch.rand(1, generator=generator)
    drawn = [random.gauss(0.0, std) for _ in range(image.numel())]
    return image + torch.tensor(drawn, dtype=image.dtype).view(image.shape)


@pytest.mark.parametrize(
    ("target", "component", "words"),
    [
        (SlopeInTraining, "leaky_relu", "in evaluation mode it gives other numbers"),
        (LooseBias, "linear", "the module's bias is no parameter"),
        (ForgetsInPlace, "leaky_relu", "with inplace=True it gives the same numbers"),
        (switches_on, "normal_", "it switched requires_grad on"),
        (clipped_noise, "gaussian_noise", "noise reaches as far as its law does"),
        (noise_of_python, "gaussian_noise", "it draws from another stream than its generator's"),
    ],
)
def test_what_shows_in_one_mode_or_tail_is_found(target, component, words):
    report = dlcheck.check(target, component)
    assert not report.conforms
    assert [finding for finding in report.findings if words in finding.summary], str(report)


def test_several_mistakes_are_named_each_with_its_consequences():
    report = dlcheck.check(hasty_cross_entropy, "cross_entropy", examples=0)
    flags = [finding.flag for finding in report.findings if finding.severity == "error"]
    named = ["ce-weight-ignored", "ce-ignored-in-mean", "ce-label-smoothing-ignored"]
    assert list(dict.fromkeys(flags)) == [*named, None]
    assert sorted(map(flags.count, named), reverse=True) == [flags.count(flag) for flag in named]
    first, text = report.findings[0], str(report)
    assert first.details["diagnosis"] == "matches the known mistake ce-weight-ignored here; it is not the only one"
    assert text.count("✗") == len(named) + 1
    unexplained = next(finding for finding in report.findings if finding.check == "losses.cross_entropy.extremes")
    assert unexplained.flag is None
    assert unexplained.details["diagnosis"] == "no known mistake matches"


def test_the_answer_has_the_form_of_the_contract(wrong):
    answer = json.loads(results.dumps(wrong.to_json()))
    assert answer["schema"] == "dlcheck.check/1"
    assert (answer["component"], answer["verdict"]) == ("adam", "deviates")
    assert [check["id"] for check in answer["checks"]] == [check.id for check in all_checks(ADAM)]
    assert {check["status"] for check in answer["checks"]} <= {"pass", "fail", "not_provided", "error"}
    wanted = {"check", "severity", "summary", "flag", "parameters", "expected", "got", "allowed", "reproduce"}
    assert all(wanted <= set(finding) for finding in answer["findings"])


@pytest.mark.parametrize("name", ["save_load", "parameter_groups", "gradient_memory"])
def test_the_snippet_of_a_case_that_the_model_can_run_runs(name, capsys):
    check = next(check for check in registry.checks("adam") if check.id.endswith(name))
    for case in check.cases:
        exec(compile(snippet(ADAM, case, "torch.optim:Adam"), "snippet", "exec"), {})
        assert capsys.readouterr().out.count("Parameter") >= len(case.inputs["steps"])


def test_the_snippet_runs_without_dlcheck(wrong, capsys):
    written = wrong.findings[0].reproduce
    assert "import dlcheck" not in written
    exec(compile(written, "snippet", "exec"), {})
    shown = capsys.readouterr().out
    assert "Parameter containing" in shown


def doubled_relu(x, k=1):
    return torch.relu(x) * k


def test_what_is_fixed_is_in_the_snippet_and_in_the_command(capsys):
    report = dlcheck.check(doubled_relu, "relu", settings={"k": 2}, examples=0, timeout=20.0)
    first = report.findings[0]
    assert first.parameters["k"] == 2
    assert first.details["replay"] == (
        f"dlcheck check {__name__}:doubled_relu --as relu --set k=2 --seed 0 --examples 0 --timeout 20.0"
    )
    exec(compile(first.reproduce, "snippet", "exec"), {})
    assert f"{first.got:.4f}" in capsys.readouterr().out


def test_an_object_without_a_name_is_replayed_in_python():
    report = dlcheck.check(lambda x: torch.relu(x) * 2, "relu", examples=0)
    name = f"{__name__}.test_an_object_without_a_name_is_replayed_in_python.<locals>.<lambda>"
    assert report.target == name
    assert report.findings[0].details["replay"] == f"dlcheck.check({name}, 'relu', seed=0, examples=0)"
    compile(report.findings[0].reproduce, "snippet", "exec")


def test_advice_is_not_counted_as_failure():
    report = dlcheck.check(lambda x: torch.where(x.isinf(), 0.0, torch.relu(x)), "relu", examples=0)
    assert report.conforms, str(report)
    counts = str(report).splitlines()[-1]
    assert ", 1 advised" in counts
    assert "fail" not in counts


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"sed": 1}, "unknown option 'sed'; did you mean seed?"),
        ({"conventions": {"x": "y"}}, "unknown convention of relu 'x'"),
        (
            {"waivers": {"activations.relu.values": " "}},
            "the waiver of activations.relu.values needs a reason, got ' '",
        ),
        ({"waivers": ["activations.relu.values"]}, "waivers is .*, expected a table"),
        ({"waivers": {"values": "x"}}, "unknown check 'values'; did you mean activations.relu.values?"),
    ],
)
def test_conformance_tests_refuse_bad_arguments_at_once(arguments, words):
    with pytest.raises((Refused, registry.UnknownName), match=words):
        dlcheck.conformance_tests(torch.relu, "relu", **arguments)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"component": "adm"}, registry.UnknownName, "unknown component 'adm'; did you mean adam"),
        ({"conventions": {"epsilom": "x"}}, registry.UnknownName, "did you mean epsilon"),
        ({"conventions": {"epsilon": "outside"}}, registry.UnknownName, "did you mean outside_sqrt"),
        ({"conventions": {"epsilon": 0}}, Refused, "the convention epsilon is 0, expected text: 'outside_sqrt' or"),
        ({"conventions": ["epsilon"]}, Refused, "conventions is .*, expected a table"),
        ({"component": None}, Refused, "component is None, expected a name"),
        ({"examples": -1}, ValueError, "examples is -1, expected a whole number"),
        ({"examples": "3"}, Refused, "examples is '3', expected a whole number"),
        ({"seed": None}, Refused, "seed is None, expected a whole number"),
        ({"timeout": 0}, ValueError, "timeout is 0, expected seconds"),
        ({"timeout": math.nan}, Refused, "timeout is nan, expected seconds"),
        ({"device": "tpu"}, Refused, "device is 'tpu', expected cpu or cuda"),
        ({"settings": {"amsgrad": "abc"}}, Refused, "amsgrad is 'abc', expected true or false"),
        ({"target": "torch.optim:Adam", "settings": {"lr": object()}}, Refused, "lr is .*, expected numbers, text"),
    ],
)
def test_bad_arguments_get_one_sentence(arguments, error, words):
    with pytest.raises(error, match=words):
        dlcheck.check(**{"target": torch.optim.Adam, "component": "adam", **arguments})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"lr": -1.0}, "nothing can be checked: lr is -1.0, expected a number of at least 0"),
        ({"betas": (0.9, 1.0)}, "nothing can be checked: betas is"),
        ({"lr": "abc"}, "nothing can be checked: adam cannot be had with lr='abc': "),
    ],
)
def test_a_fixed_setting_out_of_range_is_a_wrong_call(settings, words):
    with pytest.raises(Refused, match=words):
        dlcheck.check(f"{OPTIMIZERS}:KerasAdam", "adam", settings=settings)


class Always(Implementation):
    """Gives the same numbers whatever the input."""

    name = "always"

    def __init__(self, component, value):
        self.component, self.value = component, value

    def observe(self, case: Case) -> Observation:
        right = Reference(self.component).observe(case)
        return Observation({name: np.full_like(v, self.value) for name, v in right.values.items()}, right.facts)


@pytest.mark.parametrize("value", [0.0, math.inf, math.nan])
@pytest.mark.parametrize("name", [name for name in registry.components() if name != "constant_"])
def test_no_constant_output_passes(name, value):
    component = registry.components()[name]
    assert not judge(component, Always(component, value), examples=0).conforms


def test_nan_matches_nan_only_where_it_is_expected():
    check = next(check for check in all_checks(SIGMOID) if check.observes == "values")
    case = Case("forward", {"x": np.array([math.nan, 1.0])})
    right = reference(SIGMOID, {})
    assert Trial(SIGMOID, right).compare(right, check, case).agrees
    assert not Trial(SIGMOID, Always(SIGMOID, math.nan)).compare(right, check, case).agrees


def test_every_combination_of_conventions_conforms():
    for options in combinations(ADAM)[::7]:
        report = judge(ADAM, Reference(ADAM, options), examples=0)
        assert report.conforms, (options, str(report))
        assert all(options[axis] == name for axis, name in report.conventions.items())


def test_conformance_tests_give_one_item_for_each_check(pytester):
    pytester.makepyfile(
        test_mine=f"""
        import sys, torch, dlcheck
        sys.path.insert(0, {str(OPTIMIZERS.parent)!r})
        from optimizers import NoPowerAdam

        test_good = dlcheck.conformance_tests(torch.optim.Adagrad, "adagrad", examples=0)
        test_bad = dlcheck.conformance_tests(NoPowerAdam, "adam", examples=0)
        """
    )
    result = pytester.runpytest_subprocess("-rf", "-q")
    counts = result.parseoutcomes()
    assert counts["passed"] + counts["failed"] + counts["skipped"] == len(all_checks(ADAM)) + len(
        all_checks(registry.components()["adagrad"])
    )
    result.stdout.fnmatch_lines(["*FAILED*test_bad?optimizers.adam.trajectory? - adam: bias corr*"])
