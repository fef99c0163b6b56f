"""The tests of samples: p-values against scipy.stats, false alarms and power by simulation, rejections."""

import math

import numpy as np
import pytest
import scipy.stats
import torch

from dlcheck.evidence import draws, laws, statistics
from dlcheck.evidence.numerics import unit_roundoff
from dlcheck.initializers import reference

SMALLEST = (
    statistics.smallest_mean_shift,
    statistics.smallest_variance_change,
    statistics.smallest_distance,
    statistics.smallest_bias,
)
RUNS = 500


def scores(seed, n=300):
    return np.random.default_rng(seed).standard_normal(n)


def as_rare_as(count, share):
    """Whether so many events in RUNS runs are not too many for events of that share (false alarm 1e-9)."""
    return scipy.stats.binom.sf(count - 1, RUNS, share) >= statistics.FALSE_ALARM


@pytest.mark.parametrize("smallest", SMALLEST, ids=lambda function: function.__name__)
@pytest.mark.parametrize("effect", [0.5, 0.02])
def test_sample_size_is_the_least(smallest, effect):
    n = statistics.sample_size(smallest, effect)
    rates = statistics.FALSE_ALARM, statistics.MISS
    assert smallest(n, *rates) <= effect < smallest(n - 1, *rates)


def test_sample_size_refuses_no_effect():
    with pytest.raises(ValueError, match=r"effect must be a positive number, but was 0\.0"):
        statistics.sample_size(statistics.smallest_distance, 0.0)


def test_variance_p_value_is_chi_square():
    drawn = 1.2 * scores(0)
    law = scipy.stats.chi2(drawn.size)
    total = np.sum(drawn**2)
    expected = 2 * min(law.cdf(total), law.sf(total))
    found = statistics.variance_test(drawn, "normal").p_value
    assert abs(found - expected) <= drawn.size * unit_roundoff("float64") * expected


def test_distribution_p_value_bounds_the_exact_one():
    uniforms = np.random.default_rng(1).uniform(size=200) ** 1.3
    exact = scipy.stats.kstest(uniforms, "uniform")
    found = statistics.kolmogorov_smirnov_test(uniforms, "uniform")
    assert abs(found.statistic - exact.statistic) <= unit_roundoff("float64")
    assert exact.pvalue <= found.p_value <= 2 * exact.pvalue


def test_two_sample_p_value_bounds_the_exact_one():
    first, second = scores(2, 80), 1.5 * scores(3, 80) + 0.5
    exact = scipy.stats.ks_2samp(first, second, method="exact")
    found = statistics.two_sample_test(first, second)
    assert abs(found.statistic - exact.statistic) <= unit_roundoff("float64")
    assert found.p_value >= exact.pvalue


@pytest.mark.parametrize(("heads", "n"), [(3, 20), (480, 1000), (0, 40)])
def test_sign_p_value_is_binomial(heads, n):
    expected = scipy.stats.binomtest(heads, n).pvalue
    found = statistics.sign_test(heads, n, "signs", "fair").p_value
    assert abs(found - expected) <= statistics.ROUNDINGS * n * unit_roundoff("float64") * expected


@pytest.mark.parametrize("test", [statistics.mean_test, statistics.variance_test])
def test_false_alarms_are_as_rare_as_stated(test):
    alarms = sum(not test(scores(seed), "normal", 0.05).passed for seed in range(RUNS))
    assert as_rare_as(alarms, 0.05)
    assert alarms > 0


def test_false_alarms_of_bounds_are_rarer():
    rng = np.random.default_rng(4)
    for test in (statistics.kolmogorov_smirnov_test, statistics.extremes_test):
        assert as_rare_as(sum(not test(rng.uniform(size=300), "uniform", 0.05).passed for _ in range(RUNS)), 0.05)


@pytest.mark.parametrize("sign", [1, -1])
def test_smallest_effects_are_seen(sign):
    rate = miss = 0.05
    n = 300
    shift = sign * statistics.smallest_mean_shift(n, rate, miss)
    change = math.sqrt(1 + sign * statistics.smallest_variance_change(n, rate, miss))
    missed_shift = sum(statistics.mean_test(scores(seed) + shift, "normal", rate).passed for seed in range(RUNS))
    missed_change = sum(statistics.variance_test(scores(seed) * change, "normal", rate).passed for seed in range(RUNS))
    assert as_rare_as(missed_shift, miss)
    assert as_rare_as(missed_change, miss)


def test_smallest_distance_is_seen():
    n, rate, miss = 300, 0.05, 0.05
    distance = statistics.smallest_distance(n, rate, miss)
    rng = np.random.default_rng(5)
    moved = (np.maximum(rng.uniform(size=n), distance) for _ in range(RUNS))
    missed = sum(statistics.kolmogorov_smirnov_test(sample, "uniform", rate).passed for sample in moved)
    assert as_rare_as(missed, miss)


def test_smallest_gap_is_seen_always():
    gap = statistics.smallest_gap(300, 0.05)
    rng = np.random.default_rng(6)
    narrow = (gap + (1 - gap) * rng.uniform(size=300) for _ in range(RUNS))
    assert not any(statistics.extremes_test(sample, "uniform", 0.05).passed for sample in narrow)


LAWS = {
    "uniform": reference.uniform_law((6, 5), -2.0, 0.5),
    "normal": reference.normal_law((6, 5), 1.0, 0.1),
    "truncated": reference.trunc_normal_law((6, 5), 0.5, 1.0, -0.5, 2.0),
}


def drawn(name, draws=400, seed=7):
    rng, law = np.random.default_rng(seed), LAWS[name]
    sampler = {
        "uniform": lambda: reference.uniform_(law.shape, rng, law.low, law.high),
        "normal": lambda: reference.normal_(law.shape, rng, law.mean, law.std),
        "truncated": lambda: reference.trunc_normal_(law.shape, rng, law.mean, law.std, law.low, law.high),
    }[name]
    return np.stack([sampler() for _ in range(draws)])


def failing(samples, law):
    return [test.name for test in laws.judge_sample(samples, law) if not test.passed]


@pytest.mark.parametrize("name", LAWS)
def test_right_samples_pass(name):
    results = laws.judge_sample(drawn(name), LAWS[name])
    assert all(result.passed for result in results)
    shared = [result.false_alarm for result in results if result.name not in ("shape", "support")]
    assert sum(shared) <= statistics.FALSE_ALARM * (1 + len(shared) * unit_roundoff("float64"))


def repeated_rows(samples):
    return np.repeat(samples[:, :1], samples.shape[1], axis=1)


def one_nan(samples):
    return np.where(samples == samples.max(), np.nan, samples)


WRONG = {
    "no values": (lambda x: x * np.nan, "support"),
    "one nan": (one_nan, "support"),
    "transposed": (lambda x: x.transpose(0, 2, 1), "shape"),
    "repeated rows": (repeated_rows, "independence along axis 0"),
    "repeated draws": (lambda x: np.repeat(x[:1], len(x), axis=0), "independence along draws"),
    "repeated halves": (lambda x: np.concatenate([x[:, :3]] * 2, axis=1), "independence of halves"),
}


@pytest.mark.parametrize("mistake", WRONG)
@pytest.mark.parametrize("name", LAWS)
def test_wrong_samples_fail(name, mistake):
    change, seen_by = WRONG[mistake]
    assert seen_by in failing(change(drawn(name)), LAWS[name])


def halves_alike_in_size(samples, law, rng):
    half = samples[:, :3] - law.mean
    return law.mean + np.concatenate([half, half * rng.choice([-1.0, 1.0], half.shape)], axis=1)


def test_halves_alike_in_size_fail():
    law = LAWS["normal"]
    samples = halves_alike_in_size(drawn("normal"), law, np.random.default_rng(11))
    assert failing(samples, law) == ["independence of sizes of halves"]


def test_clamping_far_out_fails_by_the_tails_alone():
    law = reference.normal_law((64, 64))
    samples = np.clip(np.random.default_rng(12).standard_normal((20, *law.shape)), -3.0, 3.0)
    assert failing(samples, law) == ["tails beyond 3 deviations"]


def test_each_law_rejects_the_others():
    for name in LAWS:
        assert all(failing(drawn(other), LAWS[name]) for other in LAWS if other != name)


def test_heaps_at_the_bounds_fail():
    law = LAWS["truncated"]
    clipped = np.clip(np.random.default_rng(8).normal(law.mean, law.std, (400, *law.shape)), law.low, law.high)
    assert "variance" in failing(clipped, law)


def orthogonal(shape, draws=400, seed=9, **settings):
    rng = np.random.default_rng(seed)
    return np.stack([reference.orthogonal_(shape, rng, **settings) for _ in range(draws)])


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (4, 2), (2, 4), (2, 3, 2)])
def test_orthogonal_law(shape):
    law = reference.orthogonal_law(shape, 2.0)
    samples = orthogonal(shape, gain=2.0)
    assert not failing(samples, law)
    assert failing(np.abs(samples), law)
    assert "orthogonality" in failing(samples / 2, law)


def test_a_single_column_in_float32_is_orthogonal_but_for_its_roundings():
    with torch.random.fork_rng():
        torch.manual_seed(11)
        columns = torch.stack([torch.nn.init.orthogonal_(torch.empty(2, 1), gain=1.2578125) for _ in range(10_000)])
    law = reference.orthogonal_law((2, 1), 1.2578125)
    assert laws.orthogonality_test(columns.double().numpy(), law, "float32").passed


def test_qr_without_signs_is_no_law_of_ours():
    rng = np.random.default_rng(10)
    unsigned = np.stack([np.linalg.qr(rng.standard_normal((3, 3)))[0] for _ in range(400)])
    for route in ("qr", "svd"):
        assert failing(unsigned, reference.orthogonal_law((3, 3), route=route))


def test_routes_exclude_each_other():
    for route, other in (("qr", "svd"), ("svd", "qr")):
        samples = orthogonal((3, 3), route=route)
        assert not failing(samples, reference.orthogonal_law((3, 3), route=route))
        assert failing(samples, reference.orthogonal_law((3, 3), route=other))


def test_same_law():
    assert statistics.same_law(drawn("normal"), drawn("normal", seed=11)).passed
    assert not statistics.same_law(drawn("normal"), drawn("normal", seed=11) * 1.5).passed
    assert not statistics.same_law(drawn("normal", 2000), repeated_rows(drawn("normal", 2000, seed=11))).passed
    assert not statistics.same_law(drawn("normal"), drawn("normal", seed=11)[:, :3]).passed


def test_same_law_sees_the_ends():
    first, second = (np.random.default_rng(seed).standard_normal((60, 2000)) for seed in (13, 14))
    assert statistics.same_law(first, second).passed
    assert statistics.same_law(np.clip(first, -3.0, 3.0), second).name in ("least", "largest")


def test_same_law_forgives_rounding():
    ones = np.ones((400, 2, 2))
    assert statistics.same_law(ones, ones - unit_roundoff("float64")).passed


def test_a_law_adds_up_to_one():
    with pytest.raises(ValueError, match=r"the probabilities of flip add up to 1.5, expected 1"):
        draws.judge_drawn({"flip": (np.zeros((100, 2)), {0.0: 1.0, 1.0: 0.5})})
