"""The memory of a stack RNN under hard actions, beside a Python list."""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from dlcheck.recurrent.stack import EMPTY, moved

PUSH, POP, STILL = np.eye(3)[:, None]


class StackBesideAList(RuleBasedStateMachine):
    """Any sequence of push, pop and no-op, on a stack of a few places that may overflow."""

    @initialize(depth=st.integers(1, 5))
    def start(self, depth):
        self.depth, self.memory, self.held = depth, np.full((1, depth), EMPTY), []

    @rule(value=st.floats(0, 1))
    def push(self, value):
        self.memory = moved(self.memory, PUSH, np.array([[value]]))
        self.held = [value, *self.held][: self.depth]

    @rule(value=st.floats(0, 1))
    def pop(self, value):
        self.memory = moved(self.memory, POP, np.array([[value]]))
        self.held = self.held[1:]

    @rule(value=st.floats(0, 1))
    def no_op(self, value):
        self.memory = moved(self.memory, STILL, np.array([[value]]))

    @invariant()
    def holds_what_the_list_holds(self):
        assert self.memory[0].tolist() == self.held + [EMPTY] * (self.depth - len(self.held))

    @invariant()
    def top_is_the_last_pushed(self):
        assert self.memory[0, 0] == (self.held[0] if self.held else EMPTY)


TestStack = StackBesideAList.TestCase
TestStack.settings = settings(max_examples=60, stateful_step_count=25)


def test_soft_actions_mix_what_each_action_makes():
    memory, value, shares = np.array([[3.0, 5.0, 7.0]]), np.array([[11.0]]), np.array([[0.5, 0.25, 0.25]])
    expected = 0.5 * np.array([11, 3, 5]) + 0.25 * np.array([5, 7, -1]) + 0.25 * np.array([3, 5, 7])
    assert (moved(memory, shares, value) == expected).all()
