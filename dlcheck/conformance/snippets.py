"""Python that reproduces a case without dlcheck."""

from typing import Any

import numpy as np

from dlcheck.component import Case, Component


def snippet(component: Component, case: Case, target: str) -> str:
    """A script that runs the target on a case and prints what it gives."""
    lines = ["import numpy as np, torch", "from numpy import array, nan, inf", *_import_of(target)]
    return "\n".join([*lines, *_BODIES[case.run](component, case)]) + "\n"


def _import_of(target: str) -> list[str]:
    place, _, name = target.rpartition(":")
    if place.endswith(".py"):
        return [f"import runpy\ntarget = runpy.run_path({place!r})[{name!r}]"]
    return [f"from {place} import {name} as target"] if place else [f"target = {target}  # the object that was checked"]


def _tensor(value: Any, case: Case) -> str:
    with np.printoptions(threshold=100_000, precision=17, floatmode="unique"):
        return f"torch.tensor({np.asarray(value)!r}, dtype=torch.{case.dtype})"


def _keywords(case: Case) -> str:
    return "".join(f", {name}={value!r}" for name, value in case.settings.items())


def _function(component: Component, case: Case) -> list[str]:
    names = component.inputs
    lines = [f"{name} = {_tensor(case.inputs[name], case)}.requires_grad_()" for name in names]
    module = component.construct(case)
    arguments = ", ".join(f"{key}={value!r}" for key, value in {**module, **case.settings}.items())
    call = f"target({', '.join(names)}{_keywords(case)})"
    lines += [
        "if isinstance(target, type):",
        f"    module = target({arguments})",
        *(f"    module.{name}.data.copy_({name})" for name in names[1:]),
        f"    output = module({names[0]})",
        f"else:\n    output = {call}",
        "print(output)",
    ]
    if case.run == "backward":
        lines += [f"output.backward({_tensor(case.inputs['grad_output'], case)})", f"print({names[0]}.grad)"]
    return lines


def _optimizer(component: Component, case: Case) -> list[str]:
    params = [f"torch.nn.Parameter({_tensor(value, case)})" for value in case.inputs["params"]]
    lines = [f"params = [{', '.join(params)}]"]
    groups = case.inputs.get("groups")
    given = "params"
    if groups:
        indexed = (f"{{**{g!r}, 'params': [params[i] for i in {g['params']}]}}" for g in groups)
        given = f"[{', '.join(indexed)}]"
    lines += [f"optimizer = target({given}{_keywords(case)})"]
    for step in case.inputs["steps"]:
        if step.get("set"):
            lines += [f"for group in optimizer.param_groups: group.update({step['set']!r})"]
        if step.get("reload"):
            lines += ["saved = optimizer.state_dict()", f"optimizer = target({given}{_keywords(case)})"]
            lines += ["optimizer.load_state_dict(saved)"]
        for index, grad in enumerate(step["grads"]):
            lines += [f"params[{index}].grad = {None if grad is None else _tensor(grad, case)}"]
        lines += ["optimizer.step()", "print(params)"]
    return lines


def _initializer(component: Component, case: Case) -> list[str]:
    shape = tuple(case.inputs["shape"])
    return [
        f"draws = [target(torch.empty{shape!r}{_keywords(case)}) for _ in range({case.inputs['draws']})]",
        "samples = torch.stack(draws).double()",
        "print(samples.mean(), samples.std(), samples.min(), samples.max())",
    ]


_BODIES = {"forward": _function, "backward": _function, "trajectory": _optimizer, "sample": _initializer}
