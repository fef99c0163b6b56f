"""The stack of a stack RNN, moved by soft actions, and the network around it, unrolled in time and back."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from dlcheck.recurrent.cells import sigmoid

Batch = Float[np.ndarray, "B H"]
Stack = Float[np.ndarray, "B K"]
Actions = Float[np.ndarray, "B 3"]
Value = Float[np.ndarray, "B 1"]
EMPTY = -1.0
"""What an empty stack reads."""


class Weights(NamedTuple):
    """Of the input, the state before, the top of the stack; of the actions and the value to push."""

    U: Float[np.ndarray, "H F"]
    R: Float[np.ndarray, "H H"]
    P: Float[np.ndarray, "H 1"]
    A: Float[np.ndarray, "3 H"]
    D: Float[np.ndarray, "1 H"]


class Kept(NamedTuple):
    """What a step keeps for the way back."""

    x: Float[np.ndarray, "B F"]
    before: Batch
    h: Batch
    actions: Actions
    value: Value
    stack: Stack


def softmax(x: Actions) -> Actions:
    """Shares of the actions."""
    grown = np.exp(x - x.max(axis=1, keepdims=True))
    return grown / grown.sum(axis=1, keepdims=True)


def moves(stack: Stack, value: Value) -> Float[np.ndarray, "3 B K"]:
    """What each action alone makes of the stack: push, pop, no-op. What is pushed off the bottom is lost."""
    bottom = np.full_like(value, EMPTY)
    pushed, popped = np.hstack((value, stack[:, :-1])), np.hstack((stack[:, 1:], bottom))
    return np.stack((pushed, popped, stack))


def moved(stack: Stack, actions: Actions, value: Value) -> Stack:
    """The stack after a step: the mean of what the actions make of it, by their shares."""
    return np.einsum("ba,abk->bk", actions, moves(stack, value))


def step(x: Float[np.ndarray, "B F"], before: Batch, stack: Stack, weights: Weights) -> tuple[Batch, Stack, Kept]:
    """State and stack after one step."""
    h = sigmoid(x @ weights.U.T + before @ weights.R.T + stack[:, :1] @ weights.P.T)
    actions, value = softmax(h @ weights.A.T), sigmoid(h @ weights.D.T)
    return h, moved(stack, actions, value), Kept(x, before, h, actions, value, stack)


def moved_back(grad: Stack, kept: Kept) -> tuple[Actions, Value, Stack]:
    """From the gradient of the moved stack to those of the actions, the value and the stack before."""
    push, pop, still = kept.actions.T[:, :, None]
    below = still * grad
    below[:, :-1] += push * grad[:, 1:]
    below[:, 1:] += pop * grad[:, :-1]
    return np.einsum("bk,abk->ba", grad, moves(kept.stack, kept.value)), push * grad[:, :1], below


def step_back(grad_h: Batch, grad_stack: Stack, kept: Kept, weights: Weights) -> tuple[Batch, Batch, Stack, Weights]:
    """From the gradients of state and stack to those of x, of state and stack before, and of the weights."""
    of_actions, of_value, below = moved_back(grad_stack, kept)
    logits = kept.actions * (of_actions - (of_actions * kept.actions).sum(axis=1, keepdims=True))
    pushed = of_value * kept.value * (1 - kept.value)
    through = (grad_h + logits @ weights.A + pushed @ weights.D) * kept.h * (1 - kept.h)
    below[:, :1] += through @ weights.P
    of_weights = Weights(
        through.T @ kept.x,
        through.T @ kept.before,
        through.T @ kept.stack[:, :1],
        logits.T @ kept.h,
        pushed.T @ kept.h,
    )
    return through @ weights.U, through @ weights.R, below, of_weights
