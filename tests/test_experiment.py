"""Training runs repeat and agree with plain loops; intervals cover at their level; decisions can go every way."""

import numpy as np
import pytest
import torch

from dlcheck.evidence import experiment, numerics
from dlcheck.evidence.experiment import Curves, Network, glorot, he, median, paired, speedup, timed, train


def _agree(actual, expected, operations):
    """Whether float32 results agree within the roundings of so many operations."""
    return bool(np.all(np.abs(actual - expected) <= numerics.roundings(np.asarray(expected), "float32", operations)))


def test_profiles_set_the_number_of_runs_and_an_unknown_one_is_refused():
    assert len(experiment.seeds("quick")) < len(experiment.seeds("ci")) < len(experiment.seeds("deep"))
    with pytest.raises(ValueError, match="profile is 'fast', expected one of quick, ci, deep"):
        experiment.seeds("fast")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "classes", "features"),
    [("digits", 10, 64), ("breast cancer", 2, 30), ("wine", 3, 13), ("diabetes", 0, 10)],
)
def test_data_are_split_without_overlap_and_standardised_on_the_training_part(name, classes, features):
    data = experiment.load(name, range(2))
    x, y = data.train
    assert data.classes == classes
    assert x.shape[2] == features
    assert x.shape[1] + data.test[0].shape[1] == len(experiment.bundled(name)[0])
    varying = x.std(1) > 0
    unit = torch.ones(int(varying.sum()))
    assert _agree(x.double().mean(1)[varying].numpy() + 1, unit.numpy(), 8)
    assert _agree(x.double().std(1, correction=0)[varying].numpy(), unit.numpy(), 8)
    assert y.dtype == (torch.int64 if classes else torch.float32)
    assert not torch.equal(x[0], x[1])


def test_an_unknown_data_set_is_named_with_those_expected():
    with pytest.raises(ValueError, match="name is 'mnist', expected one of digits"):
        experiment.load("mnist", range(2))


def test_a_network_starts_at_its_deviation_and_from_the_same_numbers_for_the_same_seed():
    small, large = (Network((400,), torch.tanh, scale).weights(300, 5, [3, 4]) for scale in (glorot, he))
    count = small[0].numel()
    # The relative deviation of a sample's standard deviation is 1 / sqrt(2 n): six of them are exceeded once in 1e9.
    assert abs(float(small[0].std()) / glorot(300, 400) - 1) < 6 / (2 * count) ** 0.5
    assert _agree((large[0] / he(300, 400)).numpy(), (small[0] / glorot(300, 400)).numpy(), 8)
    assert torch.equal(small[0][1], Network((400,), torch.tanh).weights(300, 5, [4])[0][0])
    assert not small[1].any()


def test_batched_runs_are_the_runs_of_their_own():
    data, network = experiment.load("wine", range(3)), Network((8,), torch.tanh)
    together = train(data, range(3), network, (0.1, 0.5), 20)
    alone = train(experiment.load("wine", [2]), [2], network, (0.5,), 20)
    assert _agree(together.loss[1, 2], alone.loss[0, 0], operations=20 * 64)  # steps x batch
    assert np.array_equal(together.score[1, 2], alone.score[0, 0])


def test_runs_repeat_bit_for_bit_and_leave_global_state_alone():
    torch.manual_seed(0)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    data, network = experiment.load("digits", range(2)), Network((8,), torch.relu, he)
    first, second = (train(data, range(2), network, (0.1,), 15) for _ in range(2))
    assert np.array_equal(first.loss, second.loss)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.get_num_threads() == threads


def test_training_is_gradient_descent_as_torch_does_it():
    data, network = experiment.load("diabetes", [5]), Network((6,), torch.tanh)
    run = train(data, [5], network, (0.05,), 10, marks=range(11))
    weights = [w.requires_grad_() for w in network.weights(10, 1, [5])]
    optimizer = torch.optim.SGD(weights, lr=0.05)
    picks = torch.randint(data.train[0].shape[1], (10, 64), generator=experiment.generator(5, "batches"))
    for pick in picks:
        optimizer.zero_grad()
        output = network(weights, data.train[0][:, pick])[..., 0]
        torch.nn.functional.mse_loss(output, data.train[1][:, pick]).backward()
        optimizer.step()
    output = network(weights, data.train[0])[..., 0][:, : experiment.EVALUATED]
    expected = torch.nn.functional.mse_loss(output, data.train[1][:, : experiment.EVALUATED])
    assert _agree(run.loss[0, 0, -1], expected.item(), operations=10 * 64)  # steps x batch
    assert run.loss[0, 0, -1] < run.loss[0, 0, 0]


def test_a_run_that_diverges_has_an_infinite_loss_and_is_not_chosen():
    data = experiment.load("diabetes", range(2))
    run = train(data, range(2), Network((8,), torch.relu, he), (0.01, 1e6), 20)
    assert np.isinf(run.loss[1, :, -1]).all()
    assert experiment.best(run.loss[..., -1]) == 0


def test_steps_to_a_threshold_are_taken_on_the_logarithm_and_end_at_the_last_step():
    losses = np.array([[[8.0, 2.0, 0.5], [8.0, 4.0, 2.0]], [[8.0, 8.0, np.inf], [8.0, 7.0, 6.0]]])
    run = Curves(np.array([0.0, 10.0, 20.0]), (0.1, 1.0), losses, losses)
    assert np.allclose(run.steps_to(1.0), [[15.0, 20.0], [20.0, 20.0]])
    assert np.allclose(run.fastest(4.0), [5.0, 10.0])


def test_the_interval_of_paired_differences_is_students():
    from scipy import stats

    first, second = np.random.default_rng(0).normal(size=(2, 12))
    expected = stats.ttest_rel(first, second).confidence_interval(experiment.LEVEL)
    found = paired(first, second, margin=0.1)
    assert (found.low, found.high) == pytest.approx(tuple(expected))
    assert found.effect == pytest.approx(np.mean(first - second) / np.std(first - second, ddof=1))


@pytest.mark.parametrize(
    ("difference", "decision"),
    [
        ([2.0, 2.1, 1.9], "larger"),
        ([-2.0, -2.1, -1.9], "smaller"),
        ([0.0, 0.001, -0.001], "equivalent"),
        ([5.0, -5.0, 1.0], "undecided"),
    ],
)
def test_a_comparison_decides_only_what_its_interval_settles(difference, decision):
    values = np.repeat(difference, 4)
    assert paired(values, np.zeros(12), margin=0.5).decision == decision


def test_equal_settings_are_equivalent_and_one_seed_decides_nothing():
    assert paired(np.ones(5), np.ones(5), 0.1).decision == "equivalent"
    assert paired(np.ones(5), np.ones(5), 0.1).effect == 0.0
    with pytest.raises(ValueError, match="expected one difference for each of two seeds or more"):
        paired(np.ones(1), np.ones(1), 0.1)


def test_speedup_is_the_binary_logarithm_of_the_factor():
    assert speedup(np.full(4, 80.0), np.full(4, 20.0)).mean == pytest.approx(2.0)
    assert speedup(np.full(4, 21.0), np.full(4, 20.0)).decision == "equivalent"


def test_the_sign_tests_interval_covers_the_median_of_a_skewed_law_at_its_level():
    rng = np.random.default_rng(0)
    missed = 0
    for _ in range(2000):
        interval = median(rng.exponential(size=41))
        missed += not interval.low <= np.log(2) <= interval.high
    # 0.1 % of 2000 are 2; 12 or more have a probability below 1e-5.
    assert missed < 12
    with pytest.raises(ValueError, match="too few for an interval"):
        median(np.arange(5.0))


def test_interleaved_times_tell_work_from_less_work():
    x = torch.ones(2**14)
    seconds = timed({"five": lambda: x.exp().exp().exp().exp().exp(), "one": lambda: x.exp()}, rounds=101)
    assert median(seconds["five"] / seconds["one"]).low > 1.5
