"""Recurrent layers: torch modules, NumPy objects, and functions of a sequence and of the parameters."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch.nn.utils import rnn as packing

from dlcheck.component import Case, Component
from dlcheck.conformance.adapters import calling
from dlcheck.conformance.adapters.layouts import LAYOUTS, Stored
from dlcheck.conformance.forms.recurrent import bias_vectors, drawn
from dlcheck.conformance.implementation import Array, Implementation, Misbehaviour, NotProvided, Observation, Refused
from dlcheck.conformance.oracle import Reference

_LENGTHS = ("lengths", "lens", "seq_lengths", "seq_lens", "sequence_lengths", "input_lengths", "x_lengths")
_STATES = {"h_0": ("h_0", "h0", "h"), "c_0": ("c_0", "c0", "c")}
_PARAMETERS = ("parameters", "params", "weights")
_ALIASES = {"units": "hidden_size", "input_dim": "input_size", "hidden_dim": "hidden_size"}
_WHOLE = {"return_sequences": True, "return_state": True}
"""Keywords of Keras that make a layer return all that a case asks for."""


def _outputs(component: Component, case: Case) -> Mapping[str, Array]:
    """What the model gives without dropout."""
    undropped = {name: 0.0 if name == "dropout" else value for name, value in case.settings.items()}
    return Reference(component).observe(replace(case, run="forward", settings=undropped)).values


def _names(component: Component, case: Case) -> dict[str, int]:
    """The outputs in order, with their numbers of axes."""
    return {name: value.ndim for name, value in _outputs(component, case).items()}


def _state_arguments(known: Sequence[str], rows: Mapping[str, Any]) -> dict[str, Any]:
    """The initial state by the names of the parameters that take it: one for each array, or one for all."""
    single = {name: next((n for n in _STATES.get(name, (name,)) if n in known), None) for name in rows}
    if all(single.values()):
        return {str(single[name]): value for name, value in rows.items()}
    free = [name for name in known[1:] if name not in (*_LENGTHS, "mask", *_PARAMETERS)]
    if not free:
        raise NotProvided("it takes no initial state")
    return {free[0]: tuple(rows.values()) if len(rows) > 1 else next(iter(rows.values()))}


def _lengths_argument(known: Sequence[str], case: Case, make: Callable[[Any], Any]) -> dict[str, Any]:
    """The lengths, or a mask, by the name of the parameter that takes them; {} where there is none."""
    lengths = case.inputs["lengths"]
    if name := next((name for name in _LENGTHS if name in known), None):
        return {name: make(lengths)}
    if "mask" not in known:
        return {}
    batch_first = case.inputs["x"].shape[0] == len(lengths) and case.settings.get("batch_first", False)
    steps = case.inputs["x"].shape[1 if batch_first else 0]
    mask = np.arange(steps) < lengths[:, None]
    return {"mask": make(mask if batch_first else mask.T)}


def _parts(returned: Any) -> list[Any]:
    """What was returned, nested tuples and lists flattened."""
    nested = isinstance(returned, (tuple, list)) and not isinstance(returned, packing.PackedSequence)
    return [part for inner in returned for part in _parts(inner)] if nested else [returned]


def _by_name(returned: Any, names: Mapping[str, int]) -> dict[str, Any]:
    """What was returned, by the model's output names; a state without the axis of layers gets one."""
    parts = _parts(returned)
    if len(parts) > len(names):
        raise Misbehaviour(f"it returned {len(parts)} arrays, expected {' and '.join(names)}")
    named = dict(zip(names, parts, strict=False))
    return {
        name: part[None] if name.endswith("_n") and np.ndim(part) == names[name] - 1 else part
        for name, part in named.items()
    }


def _named(returned: Any, names: Mapping[str, int], case: Case) -> dict[str, Any]:
    """The same, of code that knows no sequence without its axis if it answers one with three axes."""
    named = _by_name(returned, names)
    output = next(iter(named.values()))
    if case.inputs["x"].ndim == 2 and np.ndim(output) != 2:
        raise NotProvided("it takes no sequence without an axis of sequences")
    return named


class Layer(Implementation):
    """What modules and objects share: they are built for each case and hold their parameters."""

    def __init__(self, component: Component, code: Callable[..., Any], fixed: Mapping[str, Any], device: str):
        self.component, self.code, self.device = component, code, device
        self.layout = str(fixed.get("layout", "torch"))
        self.fixed = {name: value for name, value in fixed.items() if name != "layout"}
        self.name = getattr(code, "__name__", type(code).__name__)

    def observe(self, case: Case) -> Observation:
        """Run one case on a fresh object."""
        made = self._built(self._constructor_keywords(case))
        if isinstance(made, torch.nn.Module):
            made = made.to(self.device, getattr(torch, case.dtype))
            return _Module(self, made, case).observe()
        if not hasattr(made, "forward") and not callable(made):
            raise Misbehaviour(f"it made a {type(made).__name__}, expected a module or an object with forward")
        return _Object(self, made, case).observe()

    def _built(self, keywords: Mapping[str, Any]) -> Any:
        """An object; raises NotProvided for a keyword that the code hands on to what does not know it."""
        try:
            return self.code(**keywords)
        except (TypeError, ValueError) as error:
            handed_on = keywords.keys() - (calling.parameters(self.code) or {}) if self._hands_on else ()
            if any(repr(name) in str(error) for name in handed_on):
                raise NotProvided(str(error)) from error
            raise

    @cached_property
    def _hands_on(self) -> bool:
        """Whether the code takes keywords of any name beside its own."""
        kinds = [p.kind for p in inspect.signature(self.code).parameters.values()]
        return calling.parameters(self.code) is not None and inspect.Parameter.VAR_KEYWORD in kinds

    def _refuses_unknown(self, keywords: Mapping[str, Any]) -> bool:
        """Whether it fails on a keyword that nobody knows: what swallows all of them obeys none."""
        try:
            self.code(**keywords, no_such_keyword=None)
        except Exception:
            return True
        return False

    def _constructor_keywords(self, case: Case) -> dict[str, Any]:
        sizes, known = dict(self.component.construct(case)), calling.parameters(self.code)
        if known is None:
            return {**sizes, **case.settings, **self.fixed}
        further = {alias: sizes[name] for alias, name in _ALIASES.items() if name in sizes} | _WHOLE
        needed = [name for name, p in known.items() if p.default is p.empty and name not in (*sizes, *further)]
        unnamed = [value for name, value in sizes.items() if name not in known and not _alias_in(known, name)]
        derived = {**sizes, **further, **dict(zip(needed, unnamed, strict=False))}
        shapes = {name: value for name, value in derived.items() if name in known}
        own = {name: value for name, value in case.settings.items() if name in known}
        found = calling.keywords(self.code, self.component, {**shapes, **own}, self.fixed, derived=derived)
        if len(own) == len(case.settings):
            return found
        if self._hands_on and self._refuses_unknown(found):
            return {**found, **case.settings}
        return calling.keywords(self.code, self.component, {**shapes, **case.settings}, self.fixed, derived=derived)

    def stored(self, case: Case, shape_of: Callable[[str], Any]) -> list[Stored]:
        """The target's own arrays for the parameters of a case."""
        return LAYOUTS[self.layout](case.inputs["parameters"], shape_of)

    def rows(self, case: Case) -> dict[str, Array]:
        """The initial state of a case as the layout has it: Keras' has no axis of layers."""
        state = case.inputs.get("state", {})
        return {name: value[0] if self.layout == "keras" else value for name, value in state.items()}


def _alias_in(known: Mapping[str, Any], name: str) -> bool:
    return any(alias in known for alias, meant in _ALIASES.items() if meant == name)


class _Run:
    """One case on one object that was made for it."""

    def __init__(self, layer: Layer, made: Any, case: Case):
        self.layer, self.made, self.case = layer, made, case
        self.forward = made.forward if hasattr(made, "forward") else made
        self.stored = layer.stored(case, self.shape_of)

    @cached_property
    def names(self) -> dict[str, int]:
        """The model's outputs in order."""
        return _names(self.layer.component, self.case)

    def shape_of(self, name: str) -> tuple[int, ...] | None:
        raise NotImplementedError

    def put(self, parameters: Mapping[str, Array]) -> None:
        """Give the object parameters like those of the case."""
        for entry in self.stored:
            value = np.asarray(entry.put(parameters))
            shape = self.shape_of(entry.name)
            if shape != value.shape and (shape is None or np.prod(shape) != value.size or value.ndim > 1):
                raise Misbehaviour(f"{entry.name} has shape {shape}, expected {value.shape}")
            self.store(entry.name, value)

    def store(self, name: str, value: Array) -> None:
        raise NotImplementedError

    def prepare(self) -> None:
        """Bring the object to where the case begins: its mode, an earlier call, and its parameters."""
        inputs = self.case.inputs
        self.switch()
        if "earlier" in inputs:
            self.put(inputs.get("earlier_parameters", inputs["parameters"]))
            self.read(inputs["earlier"])
        self.put(inputs["parameters"])

    def read(self, sequence: Array) -> None:
        """Have the object read a sequence, whatever it answers."""
        raise NotImplementedError

    def named(self, returned: Any) -> dict[str, Any]:
        """What was returned, by the model's output names."""
        return _named(returned, self.names, self.case)

    def built(self) -> Observation:
        """How many bias vectors it holds."""
        shapes = {name: np.shape(value) for name, value in self.case.inputs["parameters"].items()}
        recurrent = {name: shape for name, shape in shapes.items() if "weight_hh" in name}
        biases = {entry.name: self.shape_of(entry.name) or () for entry in self.stored if "bias" in entry.name}
        return Observation({"bias_vectors": bias_vectors({**recurrent, **biases})})

    def switch(self) -> None:
        """Put the object in evaluation, where the case asks for that."""
        if "evaluation" not in self.case.inputs:
            return
        if not hasattr(self.made, "eval"):
            raise NotProvided("it cannot be put in evaluation")
        self.made.eval()

    def seen(self, values: Mapping[str, Array], facts: Mapping[str, Any]) -> Observation:
        """What the outputs show."""
        if self.case.run != "dropped":
            return Observation(values, facts, tuple(name for name in self.names if name not in values))
        if "h_n" not in values:
            raise NotProvided("it returns no final state")
        return drawn(values["h_n"][-1, :, 0], facts)

    def arguments(self, make: Callable[[Any], Any], state: Mapping[str, Any]) -> dict[str, Any]:
        """The keywords of forward beside the sequence: state and lengths."""
        known = list(calling.parameters(self.forward) or {})
        given = _state_arguments(known, state) if state else self._needed_state(make)
        if "lengths" in self.case.inputs:
            given |= _lengths_argument(known, self.case, make)
        return given

    def _needed_state(self, make: Callable[[Any], Any]) -> dict[str, Any]:
        """Zeros for a state that forward cannot do without."""
        known = calling.parameters(self.forward) or {}
        needed = [name for name, p in list(known.items())[1:] if p.default is p.empty]
        if not needed or any(name in (*_LENGTHS, "mask") for name in needed):
            return {}
        outputs = _outputs(self.layer.component, self.case)
        zeros = {f"{name[0]}_0": np.zeros_like(value) for name, value in outputs.items() if name in ("h_n", "c_n")}
        rows = {name: value[0] if self.layer.layout == "keras" else value for name, value in zeros.items()}
        return _state_arguments(list(known), {name: make(value) for name, value in rows.items()})


class _Module(_Run):
    """A torch module; gradients come from autograd."""

    def shape_of(self, name: str) -> tuple[int, ...] | None:
        held = dict(self.made.named_parameters())
        return tuple(held[name].shape) if name in held else None

    def store(self, name: str, value: Array) -> None:
        parameter = dict(self.made.named_parameters())[name]
        with torch.no_grad():
            parameter.copy_(torch.tensor(value).reshape(parameter.shape))

    def tensor(self, value: Any) -> torch.Tensor:
        """An array of the case as a tensor."""
        return calling.tensor(np.asarray(value), self.case.dtype, self.case.layout, self.layer.device)

    def read(self, sequence: Array) -> None:
        self.made(self.tensor(sequence))

    def put(self, parameters: Mapping[str, Array]) -> None:
        super().put(parameters)
        if self.case.settings.get("bias", True):
            return
        for name, parameter in self.made.named_parameters():
            if "bias_" in name and parameter.requires_grad:
                raise Misbehaviour(f"bias=False is ignored: it has a parameter {name}")

    def observe(self) -> Observation:
        """Outputs, or gradients of everything that the case gives."""
        if self.case.run == "built":
            return self.built()
        self.prepare()
        case, wants = self.case, self.case.run == "backward"
        x = self.tensor(case.inputs["x"]).requires_grad_(wants)
        state = {name: self.tensor(row).requires_grad_(wants) for name, row in self.layer.rows(case).items()}
        outputs = self.outputs(x, state)
        pure = all(calling.unchanged(value, before) for value, before in self.untouched(x, state))
        facts = {"dtype": calling.dtype_name(next(iter(outputs.values()))), "purity": pure}
        if wants:
            return self.gradients(outputs, x, state, facts)
        values = {name: calling.to_numpy(value, name) for name, value in outputs.items()}
        return self.seen(values, facts)

    def untouched(self, x: torch.Tensor, state: Mapping[str, torch.Tensor]) -> list[tuple[Any, Array]]:
        """The caller's tensors, and what they held."""
        rows = self.layer.rows(self.case)
        return [(x, self.case.inputs["x"]), *((state[name], rows[name]) for name in rows)]

    def outputs(self, x: torch.Tensor, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """What the module returns, by the model's names."""
        further = self.arguments(self.tensor, state)
        takes = any(name in further for name in (*_LENGTHS, "mask"))
        if "lengths" in self.case.inputs and not takes:
            return self.packed(x, further)
        named = self.named(self.made(x, **further))
        for name, value in named.items():
            if not isinstance(value, torch.Tensor):
                raise Misbehaviour(f"{name} is a {type(value).__name__}, expected a torch.Tensor")
        return named

    def packed(self, x: torch.Tensor, further: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        """The same by way of a PackedSequence, which a module that knows none fails on."""
        own = {"batch_first": getattr(self.made, "batch_first", False)}
        batch_first = bool({**own, **self.case.settings, **self.layer.fixed}["batch_first"])
        lengths = torch.tensor(self.case.inputs["lengths"])
        try:
            sequence = packing.pack_padded_sequence(x, lengths, batch_first, enforce_sorted=False)
            output, *others = _parts(self.made(sequence, **further))
        except Exception as error:
            raise NotProvided("it takes neither lengths nor a PackedSequence") from error
        if not isinstance(output, packing.PackedSequence):
            raise NotProvided("it takes neither lengths nor a PackedSequence")
        padded, _ = packing.pad_packed_sequence(output, batch_first, total_length=x.shape[1 if batch_first else 0])
        return _by_name((padded, *others), self.names)

    def gradients(
        self, outputs: Mapping[str, torch.Tensor], x: torch.Tensor, state: Mapping[str, torch.Tensor], facts: Any
    ) -> Observation:
        """The gradients of the sequence, the parameters and the state, from those of the outputs."""
        upstream = self.case.inputs["grad"]
        lacking = [name for name in upstream if name not in outputs]
        if lacking:
            raise NotProvided(f"it does not return {' and '.join(lacking)}")
        for name, grad in upstream.items():
            if outputs[name].shape != grad.shape:
                raise Misbehaviour(f"{name} has shape {tuple(outputs[name].shape)}, expected {grad.shape}")
        moving = [name for name in upstream if outputs[name].requires_grad]
        if not moving:
            raise Misbehaviour(f"{' and '.join(upstream)} carry no gradient: autograd cannot reach the inputs")
        held = dict(self.made.named_parameters())
        leaves = {"x": x, **state, **{entry.name: held[entry.name] for entry in self.stored}}
        found = torch.autograd.grad(
            [outputs[name] for name in moving],
            list(leaves.values()),
            [self.tensor(upstream[name]).to(outputs[name].dtype) for name in moving],
            allow_unused=True,
        )
        # what does not take part has the gradient 0
        grads = {
            name: np.zeros(leaf.shape) if grad is None else calling.to_numpy(grad, f"the gradient of {name}")
            for (name, leaf), grad in zip(leaves.items(), found, strict=True)
        }
        return Observation(_model_gradients(self.case, self.stored, grads), facts)


def _model_gradients(case: Case, stored: Sequence[Stored], grads: Mapping[str, Array]) -> dict[str, Array]:
    """A target's gradients under the model's names."""
    found = {name: grads[name] for name in ("x", *case.inputs.get("state", {})) if name in grads}
    expected = case.inputs["parameters"]
    for entry in stored:
        found |= {
            name: grad.reshape(expected[name].shape) if grad.size == expected[name].size else grad
            for name, grad in entry.take(grads[entry.name]).items()
        }
    rows = {name: found[name][None] for name in case.inputs.get("state", {}) if found.get(name, np.empty(3)).ndim == 2}
    return {f"grad_{name}": grad for name, grad in {**found, **rows}.items()}


class _Object(_Run):
    """A NumPy object with ``forward`` and, for gradients, ``backward(grad_output)`` and ``grads`` by name."""

    def _place(self, name: str) -> tuple[Any, str] | None:
        """Where a parameter is kept: a dict of parameters and its key, or the object and its attribute."""
        for table in (getattr(self.made, holder, None) for holder in _PARAMETERS):
            if isinstance(table, dict) and name in table:
                return table, name
        return (self.made, name) if hasattr(self.made, name) and not isinstance(self.made, type) else None

    def _read(self, name: str) -> Any:
        place = self._place(name)
        if place is None:
            return None
        holder, key = place
        return holder[key] if isinstance(holder, dict) else getattr(holder, key)

    def shape_of(self, name: str) -> tuple[int, ...] | None:
        held = self._read(name)
        return None if held is None else np.shape(held)

    def store(self, name: str, value: Array) -> None:
        made = calling.array(value, self.case.dtype, "contiguous").reshape(self.shape_of(name) or value.shape)
        holder, key = self._place(name)  # type: ignore[misc]
        if isinstance(holder, dict):
            holder[key] = made
        else:
            setattr(holder, key, made)

    def array(self, value: Any) -> Any:
        """An array of the case as the object gets it."""
        return calling.array(np.asarray(value), self.case.dtype, self.case.layout)

    def read(self, sequence: Array) -> None:
        self.forward(self.array(sequence))

    def observe(self) -> Observation:
        """Outputs, or gradients by the object's own backward."""
        if self.case.run == "built":
            return self.built()
        self.prepare()
        case = self.case
        x, state = self.array(case.inputs["x"]), {n: self.array(row) for n, row in self.layer.rows(case).items()}
        further = self.arguments(self.array, state)
        if "lengths" in case.inputs and not any(name in further for name in (*_LENGTHS, "mask")):
            raise NotProvided("it takes no lengths")
        named = self.named(self.forward(x, **further))
        outputs = {name: calling.to_numpy(value, name) for name, value in named.items()}
        rows = self.layer.rows(case)
        pure = all(np.array_equal(now, rows[name]) for name, now in state.items())
        facts = {"purity": pure and np.array_equal(x, case.inputs["x"], equal_nan=True)}
        if case.run == "backward":
            return self.gradients(facts)
        return self.seen(outputs, facts)

    def gradients(self, facts: Mapping[str, Any]) -> Observation:
        """What backward returns, and leaves in ``grads``."""
        if not hasattr(self.made, "backward"):
            raise NotProvided("it has no backward")
        upstream = self.case.inputs["grad"]
        if set(upstream) - {next(iter(self.names))}:
            raise NotProvided("backward takes the gradient of the output only")
        returned, *_ = _parts(self.made.backward(*map(self.array, upstream.values())))
        grads, missing = {"x": calling.to_numpy(returned, "what backward returned")}, ()
        left = getattr(self.made, "grads", {})
        for name in [*(entry.name for entry in self.stored), *self.case.inputs.get("state", {})]:
            if name in left:
                grads[name] = calling.to_numpy(left[name], f"grads[{name!r}]")
            elif name in self.case.inputs.get("state", {}):
                missing = (*missing, f"grad_{name}")
            else:
                raise Misbehaviour(f"backward left no grads[{name!r}], only {sorted(left)}")
        return Observation(_model_gradients(self.case, self.stored, grads), facts, missing)


class Function(Implementation):
    """A function of a sequence and of the parameters, in a dict or by their names; of tensors or of arrays."""

    def __init__(self, component: Component, code: Callable[..., Any], fixed: Mapping[str, Any], device: str):
        self.component, self.code, self.fixed, self.device = component, code, fixed, device
        self.name = getattr(code, "__name__", type(code).__name__)
        self._tensors: bool | None = None

    def observe(self, case: Case) -> Observation:
        """Run one case, on tensors where the function gives tensors for them."""
        if case.run in ("built", "dropped") or {"earlier", "evaluation"} & set(case.inputs):
            raise NotProvided("a function holds no parameters, and no mode")
        if self._tensors is None:
            self._tensors = self._takes_tensors(case)
        if self._tensors:
            return self._on_tensors(case)
        if case.run == "backward":
            raise NotProvided("a NumPy function gives values only")

        def make(value: Any) -> Any:
            return calling.array(np.asarray(value), case.dtype, case.layout)

        x, further = self._arguments(case, make)
        named = _named(self.code(x, **further), _names(self.component, case), case)
        values = {name: calling.to_numpy(value, name) for name, value in named.items()}
        lacks = tuple(name for name in _names(self.component, case) if name not in values)
        return Observation(values, {"purity": np.array_equal(x, case.inputs["x"], equal_nan=True)}, lacks)

    def _takes_tensors(self, case: Case) -> bool:
        try:
            x, further = self._arguments(case, lambda value: torch.tensor(np.asarray(value)))
            return isinstance(_parts(self.code(x, **further))[0], torch.Tensor)
        except (NotProvided, Refused):
            raise
        except Exception:
            return False

    def _on_tensors(self, case: Case) -> Observation:
        leaves: dict[int, torch.Tensor] = {}

        def make(value: Any) -> torch.Tensor:
            made = calling.tensor(np.asarray(value), case.dtype, case.layout, self.device)
            leaves[id(value)] = made.requires_grad_(case.run == "backward" and made.is_floating_point())
            return made

        x, further = self._arguments(case, make)
        names = _names(self.component, case)
        outputs = _named(self.code(x, **further), names, case)
        pure = calling.unchanged(x, case.inputs["x"])
        facts = {"dtype": calling.dtype_name(next(iter(outputs.values()))), "purity": pure}
        if case.run == "forward":
            values = {name: calling.to_numpy(value, name) for name, value in outputs.items()}
            return Observation(values, facts, tuple(name for name in names if name not in outputs))
        upstream = case.inputs["grad"]
        if set(upstream) - set(outputs):
            raise NotProvided("it does not return all of the outputs")
        given = {"x": case.inputs["x"], **case.inputs["parameters"], **case.inputs.get("state", {})}
        wanted = {name: leaves[id(value)] for name, value in given.items() if id(value) in leaves}
        found = torch.autograd.grad(
            [outputs[name] for name in upstream],
            list(wanted.values()),
            [torch.tensor(grad).to(outputs[name]) for name, grad in upstream.items()],
            allow_unused=True,
        )
        values = {
            f"grad_{name}": np.zeros(leaf.shape) if grad is None else calling.to_numpy(grad, f"the gradient of {name}")
            for (name, leaf), grad in zip(wanted.items(), found, strict=True)
        }
        return Observation(values, facts)

    def _arguments(self, case: Case, make: Callable[[Any], Any]) -> tuple[Any, dict[str, Any]]:
        """The sequence, and everything else by name."""
        known = calling.parameters(self.code) or {}
        parameters = {name: make(value) for name, value in case.inputs["parameters"].items()}
        whole = next((name for name in _PARAMETERS if name in known), None)
        spelled = {name: next((n for n in (name, name.removesuffix("_l0")) if n in known), None) for name in parameters}
        if whole:
            given: dict[str, Any] = {whole: parameters}
        elif all(spelled.values()):
            given = {str(spelled[name]): value for name, value in parameters.items()}
        else:
            lacking = next(name for name, own in spelled.items() if own is None)
            raise NotProvided(f"it takes no {lacking}, and no dict of parameters")
        state = {name: make(value) for name, value in case.inputs.get("state", {}).items()}
        free = [name for name in known if name not in given and name not in self.component.settings]
        given |= _state_arguments(free, state) if state else {}
        if "lengths" in case.inputs:
            found = _lengths_argument(list(known), case, make)
            if not found:
                raise NotProvided("it takes no lengths")
            given |= found
        derived = {**self.component.construct(case), **given}
        settings = calling.keywords(self.code, self.component, case.settings, self.fixed, 1, derived)
        return make(case.inputs["x"]), {**settings, **given}


def _builds(code: Callable[..., Any]) -> bool:
    """Whether code makes a layer when called with its sizes: a class, or a factory of one."""
    known = calling.parameters(code)
    return inspect.isclass(code) or (known is not None and ("hidden_size" in known or "units" in known))


def adapt(component: Component, code: Any, fixed: Mapping[str, Any], device: str, seed: int) -> Implementation:
    """The adapter that fits the code."""
    layout = str(fixed.get("layout", "torch"))
    if layout not in LAYOUTS:
        raise Refused(f"layout is {layout!r}, expected {' or '.join(LAYOUTS)}")
    if _builds(code):
        return Layer(component, code, fixed, device)
    return Function(component, code, fixed, device)
