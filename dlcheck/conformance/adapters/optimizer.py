"""Optimizers: torch-like classes driven as users drive them, and pure pairs of init and update (optax)."""

import copy
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from dlcheck.component import Case, Component
from dlcheck.conformance.adapters import calling
from dlcheck.conformance.forms.optimizer import Closure
from dlcheck.conformance.implementation import Array, Implementation, Misbehaviour, NotProvided, Observation, Refused


class TorchOptimizer(Implementation):
    """A class (or factory) called with the parameters, with ``step``: zero_grad, backward, step."""

    def __init__(self, component: Component, code: Callable[..., Any], fixed: Mapping[str, Any], device: str):
        self.component, self.code, self.fixed, self.device = component, code, fixed, device
        self.name = getattr(code, "__name__", type(code).__name__)

    def observe(self, case: Case) -> Observation:
        """Run one trajectory."""
        params = [
            torch.nn.Parameter(calling.tensor(values, case.dtype, case.layout, self.device))
            for values in case.inputs["params"]
        ]
        optimizer = self._made(case, params)
        history: list[list[Array]] = [[] for _ in params]
        closures: list[Closure] = []
        in_place, pure = bool(case.inputs.get("cleared_in_place")), True
        for number, step in enumerate(case.inputs["steps"]):
            self._add_groups(optimizer, _groups(case, params, number))
            if step.get("reload"):
                optimizer = self._reloaded(case, params, optimizer)
            self._change(optimizer, step.get("set", {}))
            grads = [
                None if grad is None else calling.tensor(grad, case.dtype, "contiguous", self.device)
                for grad in step["grads"]
            ]
            evaluate = _Closure(optimizer, params, grads, in_place)
            if step.get("closure"):
                closures.append(self._step_with(optimizer, evaluate))
            else:
                evaluate.gradients()
                optimizer.step()
            pure = pure and all(
                p.grad is None or calling.unchanged(p.grad, grad)
                for p, grad in zip(params, step["grads"], strict=True)
                if grad is not None
            )
            for past, p in zip(history, params, strict=True):
                past.append(calling.to_numpy(p, "a parameter"))
        values = {f"param{index}": np.stack(past) for index, past in enumerate(history)}
        values |= {"closure": np.array(closures, np.float64)} if closures else {}
        return Observation(values, {"dtype": calling.dtype_name(params[0]), "purity": pure})

    def _made(self, case: Case, params: list[torch.nn.Parameter]) -> Any:
        settings = calling.keywords(self.code, self.component, case.settings, self.fixed, 1)
        groups: Any = params
        if "groups" in case.inputs:
            if inspect.isclass(self.code) and not issubclass(self.code, torch.optim.Optimizer):
                raise NotProvided("it is no torch.optim.Optimizer: parameter groups are not tried")
            groups = _groups(case, params)
            self._accepts({name for group in case.inputs["groups"] for name in group} - {"params", "added"})
        return self.code(groups, **settings)

    def _add_groups(self, optimizer: Any, groups: Sequence[Mapping[str, Any]]) -> None:
        if groups and not hasattr(optimizer, "add_param_group"):
            raise NotProvided("it has no add_param_group")
        for group in groups:
            optimizer.add_param_group(group)

    def _accepts(self, names: set[str]) -> None:
        known = calling.parameters(self.code)
        for name in sorted(names):
            if known is not None and name not in known:
                raise NotProvided(f"it does not accept {name}")

    def _reloaded(self, case: Case, params: list[torch.nn.Parameter], optimizer: Any) -> Any:
        if not hasattr(optimizer, "state_dict") or not hasattr(optimizer, "load_state_dict"):
            raise NotProvided("it has no state_dict and load_state_dict")
        saved = copy.deepcopy(optimizer.state_dict())
        fresh = self._made(case, params)
        fresh.load_state_dict(saved)
        return fresh

    def _change(self, optimizer: Any, change: Mapping[str, Any]) -> None:
        if change and not hasattr(optimizer, "param_groups"):
            raise NotProvided("it has no param_groups to change settings in")
        for group in getattr(optimizer, "param_groups", ()) if change else ():
            group.update(change)

    def _step_with(self, optimizer: Any, closure: "_Closure") -> Closure:
        """Step with a closure, and what becomes of it."""
        known = calling.parameters(optimizer.step)
        if known is not None and not known:
            raise NotProvided("its step takes no closure")
        returned = optimizer.step(closure)
        loss = returned.item() if isinstance(returned, torch.Tensor) else returned
        return len(closure.losses), closure.recorded, bool(closure.losses) and loss == closure.losses[-1].item()


def _groups(case: Case, params: Sequence[torch.nn.Parameter], added: int | None = None) -> list[dict[str, Any]]:
    """The groups of a case that are there from the start, or those that are added before a step."""
    chosen = [group for group in case.inputs.get("groups", ()) if group.get("added") == added]
    return [
        {name: value for name, value in group.items() if name != "added"}
        | {"params": [params[i] for i in group["params"]]}
        for group in chosen
    ]


class _Closure:
    """Computes the loss whose gradients are the given ones exactly, and the gradients, as a user's closure does."""

    def __init__(
        self,
        optimizer: Any,
        params: Sequence[torch.nn.Parameter],
        grads: Sequence[torch.Tensor | None],
        in_place: bool,
    ):
        self.optimizer, self.params, self.grads, self.in_place = optimizer, params, grads, in_place
        self.losses: list[torch.Tensor] = []
        self.recorded = True

    def __call__(self) -> torch.Tensor:
        """The loss; notes whether gradients are recorded, as its backward() needs."""
        self.recorded = self.recorded and torch.is_grad_enabled()
        with torch.enable_grad():
            self.losses.append(self.gradients())
        return self.losses[-1]

    def gradients(self) -> torch.Tensor:
        """Clear the gradients, by the optimizer's own means or in place, and leave the given ones."""
        kept = [p.grad for p in self.params]
        if hasattr(self.optimizer, "zero_grad"):
            self.optimizer.zero_grad()
        for p, grad, memory in zip(self.params, self.grads, kept, strict=True):
            if grad is None or not (self.in_place or hasattr(self.optimizer, "zero_grad")):
                p.grad = None
            elif self.in_place and p.grad is None and memory is not None:
                p.grad = memory.zero_()
        given = [(p * grad).sum() for p, grad in zip(self.params, self.grads, strict=True) if grad is not None]
        loss = torch.stack(given).sum() if given else torch.zeros((), requires_grad=True)
        loss.backward()
        return loss


_OPTAX_NAMES = {"lr": "learning_rate", "alpha": "decay"}
"""optax's names of torch's keywords, where they differ; betas are b1 and b2."""


class PureOptimizer(Implementation):
    """A pair ``init(params)``, ``update(grads, state, params)``, or a factory of one, as optax has."""

    def __init__(self, component: Component, code: Any, fixed: Mapping[str, Any]):
        self.component, self.code, self.fixed = component, code, fixed
        self.name = getattr(code, "__name__", type(code).__name__)

    def observe(self, case: Case) -> Observation:
        """Run one trajectory, of all parameters in a dict, or of each where the pair takes no more than an array."""
        if "groups" in case.inputs:
            raise NotProvided("a pure pair has no parameter groups")
        pair, indices = _pair(self._transformation(case.settings)), range(len(case.inputs["params"]))
        try:
            runs = [self._run(*pair, case, indices)]
        except Exception:
            runs = [self._run(*pair, case, [index]) for index in indices]
        values = {name: past for found, _ in runs for name, past in found.items()}
        return Observation(values, {"purity": all(pure for _, pure in runs)})

    def _transformation(self, settings: Mapping[str, Any]) -> Any:
        if not callable(self.code) or isinstance(self.code, tuple):
            changed = [name for name, value in settings.items() if value != self.component.settings.get(name)]
            if changed:
                raise NotProvided(f"a made transformation cannot be given {', '.join(changed)}")
            return self.code
        known = calling.parameters(self.code) or {}
        if "learning_rate" not in known:
            return self.code(**calling.keywords(self.code, self.component, settings, self.fixed))
        named = {"lr": self.component.settings["lr"], **settings, **self.fixed}
        if "betas" in named and "b1" in known:
            named["b1"], named["b2"] = named.pop("betas")
        renamed = {_OPTAX_NAMES.get(name, name) if name not in known else name: value for name, value in named.items()}
        return self.code(**calling.keywords(self.code, self.component, renamed, {}))

    def _run(self, init: Any, update: Any, case: Case, indices: Sequence[int]) -> tuple[dict[str, Array], bool]:
        """These parameters along a case, and whether the gradients stay as they are."""

        def nested(arrays: Mapping[int, Any]) -> Any:
            return dict(arrays) if len(arrays) > 1 else arrays[indices[0]]

        params = {index: _native(case.inputs["params"][index], case) for index in indices}
        state, pure = init(nested(params)), True
        history: dict[int, list[Array]] = {index: [] for index in indices}
        for step in case.inputs["steps"]:
            if step.get("set") or step.get("closure") or any(step["grads"][index] is None for index in indices):
                raise NotProvided(
                    "a pure pair has no settings to change from outside, no closure and no missing gradient"
                )
            before = copy.deepcopy(state) if step.get("reload") else state
            grads, same = ({index: _native(step["grads"][index], case) for index in indices} for _ in range(2))
            updates, state = update(nested(grads), before, nested(params))
            moved = updates if len(indices) > 1 else {indices[0]: updates}
            pure = pure and all(calling.unchanged(grads[index], step["grads"][index]) for index in indices)
            if step.get("reload"):
                repeated, _ = update(nested(same), before, nested(params))
                again = repeated if len(indices) > 1 else {indices[0]: repeated}
                if not all(_same(moved[index], again[index]) for index in indices):
                    raise Misbehaviour("update changes the state that it is handed: no step can be repeated from it")
            params = {index: param + moved[index] for index, param in params.items()}
            for index, param in params.items():
                history[index].append(calling.to_numpy(param, "a parameter"))
        return {f"param{index}": np.stack(past) for index, past in history.items()}, pure


def _same(update: Any, again: Any) -> bool:
    return np.array_equal(np.asarray(update, np.float64), np.asarray(again, np.float64), equal_nan=True)


def _native(values: Array, case: Case) -> Any:
    """A JAX array where JAX is loaded (as for optax), else a NumPy one."""
    made = calling.array(values, case.dtype, case.layout)
    jax = sys.modules.get("jax")
    if jax is None:
        return made
    jax.config.update("jax_enable_x64", True)
    return jax.numpy.asarray(made)


def _pair(made: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
    if hasattr(made, "init") and hasattr(made, "update"):
        return made.init, made.update
    if isinstance(made, tuple) and len(made) == 2 and all(map(callable, made)):
        return made
    raise Misbehaviour(f"the factory returned a {type(made).__name__}, expected a pair of init and update")


def adapt(component: Component, code: Any, fixed: Mapping[str, Any], device: str, seed: int) -> Implementation:
    """The adapter that fits the code."""
    if isinstance(code, tuple) or (hasattr(code, "init") and hasattr(code, "update") and not inspect.isclass(code)):
        return PureOptimizer(component, code, fixed)
    if inspect.isclass(code) and not hasattr(code, "step"):
        raise Refused("a class must have step, as torch.optim.Optimizer has")
    known = calling.parameters(code)
    if inspect.isclass(code) or known is None or next(iter(known), "") in ("params", "parameters"):
        return TorchOptimizer(component, code, fixed, device)
    return PureOptimizer(component, code, fixed)
