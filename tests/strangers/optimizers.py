"""Somebody's optimizers: one right in Keras' convention, one wrong, one that is right but counts steps globally."""

import math

import torch


class KerasAdam(torch.optim.Optimizer):
    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-7):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self._update(p, self.state[p], group)

    def _update(self, p, state, group):
        if not state:
            state.update(t=0, m=torch.zeros_like(p), v=torch.zeros_like(p))
        state["t"] += 1
        b1, b2 = group["betas"]
        state["m"].mul_(b1).add_(p.grad, alpha=1 - b1)
        state["v"].mul_(b2).addcmul_(p.grad, p.grad, value=1 - b2)
        self._move(p, state, group)

    def _move(self, p, state, group):
        b1, b2 = group["betas"]
        rate = group["lr"] * math.sqrt(1 - b2 ** state["t"]) / (1 - b1 ** state["t"])
        p.addcdiv_(state["m"], state["v"].sqrt().add_(group["eps"]), value=-rate)


class NoPowerAdam(KerasAdam):
    """The correction forgets the power of t."""

    def _move(self, p, state, group):
        b1, b2 = group["betas"]
        m, v = state["m"] / (1 - b1), state["v"] / (1 - b2)
        p.addcdiv_(m, v.sqrt().add_(group["eps"]), value=-group["lr"])


class OddAdam(KerasAdam):
    """A mistake that nobody made before."""

    def _move(self, p, state, group):
        p.addcdiv_(state["m"], state["v"].sqrt().add_(group["eps"]), value=-group["lr"] * 1.25)
