"""What the claims about stack RNNs and learning rates are made of can fail."""

import numpy as np
import pytest

from dlcheck.judgement import Unsupported
from dlcheck.recurrent import counting, stack_claims
from dlcheck.recurrent.stack_claims import POP, PUSH, STILL
from dlcheck.schedules import experiments

ACTIONS = [PUSH, PUSH, STILL, POP, POP, POP]
VALUES = np.array([0.25, 0.5, 0.0, 0.0, 0.0, 0.0])
MEMORY = np.array([[0.25, -1], [0.5, 0.25], [0.5, 0.25], [0.25, -1], [-1, -1], [-1, -1]])


def test_a_list_stands_in_the_stack():
    stack_claims._require_stack(ACTIONS, MEMORY, VALUES)


@pytest.mark.parametrize(("step", "place"), [(0, 0), (1, 1), (2, 0), (3, 0), (4, 0), (5, 1)])
def test_any_number_that_differs_is_seen(step, place):
    wrong = MEMORY.copy()
    wrong[step, place] = np.nextafter(wrong[step, place], 2) if place or step > 1 else 0.3
    with pytest.raises(Unsupported):
        stack_claims._require_stack(ACTIONS, wrong, VALUES)


def test_strings_and_what_follows_from_them():
    x, after, known = counting.strings([1, 3])
    assert x.argmax(-1)[1].tolist() == [0, 0, 0, 1, 1, 1]
    assert x[0].sum().item() == 2
    assert after[known].tolist() == [0, 1, 1, 0]
    assert known.tolist() == [[False, True, False, False, False, False], [False] * 3 + [True] * 3]


def test_a_mistake_at_any_b_is_wrong():
    """A network whose state is the next symbol itself."""
    counter = counting.Counter({}, np.eye(2), np.zeros((1, 2)))
    h = np.array([[[1.0, 0], [0, 1], [1, 0], [1, 0]], [[0, 1], [0, 1], [0, 1], [1, 0]]])
    assert counter.right(h, [1, 2]).tolist() == [False, True]
    assert counter.right(h[:, :, ::-1], [1, 2]).tolist() == [True, False]


def test_networks_of_one_seed_differ_by_what_they_hear_of_the_past_only(monkeypatch):
    monkeypatch.setattr(counting, "STEPS", 1)
    found = counting.train([0, 1])
    assert found["U"].shape == (6, 8, 2)
    assert not found["R"][:2].any()
    assert found["R"][2:].any(dim=(1, 2)).all()
    assert not found["P"][4:].any()
    assert found["P"][:4].any(dim=(1, 2)).all()


def test_the_condition_of_decay():
    assert experiments._condition_holds()
    assert experiments._led_to((0.5, 0.25, 0.125)) == 21 / 64
