"""Differentiation: random expressions against sympy and autograd, the notes' examples, size, and people's own code."""

import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import sympy as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcheck import registry
from dlcheck.autodiff import drawing, reference
from dlcheck.autodiff import torch as ours
from dlcheck.autodiff.expressions import function_of
from dlcheck.conformance.check import judge
from dlcheck.conformance.targets import adapt
from dlcheck.evidence import numerics

X, Y = sp.symbols("x y")
CUDA = pytest.param(
    "cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
)


def within(actual, expected, roundings=256):
    expected = np.asarray(expected, np.float64)
    size = np.full(expected.shape, np.abs(expected).max(initial=1.0))
    return bool(np.all(np.abs(np.asarray(actual) - expected) <= numerics.roundings(size, "float64", roundings)))


def report(component, code, device="cpu"):
    known = registry.components()[component]
    return judge(known, adapt(known, code, device=device), examples=10)


EXPRESSIONS = st.recursive(
    st.sampled_from([X, Y, sp.Integer(2), sp.Rational(1, 3), sp.pi]),
    lambda inner: st.one_of(
        st.builds(lambda a, b: a + b, inner, inner),
        st.builds(lambda a, b: a * b, inner, inner),
        st.builds(lambda a, b: a - b, inner, inner),
        st.builds(lambda a, b: a / (2 + sp.sin(b)), inner, inner),
        st.builds(lambda f, a: f(a), st.sampled_from([sp.sin, sp.cos, sp.tanh]), inner),
        st.builds(lambda a: sp.exp(sp.sin(a)), inner),
        st.builds(lambda a: sp.sqrt(1 + a**2), inner),
        st.builds(lambda a: sp.log(2 + sp.cos(a)), inner),
    ),
    max_leaves=8,
)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(expression=EXPRESSIONS, x=st.floats(-1.5, 1.5), y=st.floats(-1.5, 1.5))
def test_random_expressions_have_the_derivatives_of_sympy_and_of_autograd(expression, x, y):
    function = function_of(expression, X, Y)
    with sp.evaluate(True):
        exact = [float(sp.diff(expression, v).evalf(30, subs={X: x, Y: y})) for v in (X, Y)]
    _, pullback = reference.vjp(function, x, y)
    found = pullback(1.0)
    tensors = [torch.tensor(v, dtype=torch.float64) for v in (x, y)]
    _, of_tensors = ours.vjp(function, *tensors)
    # cancellation inside the expression is bounded by what moving an input by a rounding does, times the operations
    moved = [reference.vjp(function, x * (1 + s), y * (1 - s))[1](1.0) for s in (2.0**-50, -(2.0**-50))]
    slack = max(abs(m[i] - found[i]) for m in moved for i in (0, 1)) * 64
    for place in (0, 1):
        size = max(abs(exact[place]), 1.0)
        allowed = slack + numerics.roundings(np.array(size), "float64", 512)
        assert abs(found[place] - exact[place]) <= allowed
        assert abs(of_tensors(torch.tensor(1.0, dtype=torch.float64))[place] - exact[place]) <= allowed


def test_unknown_functions_and_symbols_are_refused():
    with pytest.raises(ValueError, match="expression holds erf"):
        function_of(sp.erf(X), X)
    with pytest.raises(ValueError, match="expression holds y, expected only x"):
        function_of(X + Y, X)


# --- the notes' examples ---------------------------------------------------------------------------------------------


def test_sum_product_as_the_notes_work_it_out():
    output = drawing.sum_product(2.0, 1.0)
    a, b = (node for node in reference.ordered(output) if node.name in ("a", "b"))
    assert output.value == 6
    assert [reference.gradient_by_paths(output, leaf) for leaf in (a, b)] == [2, 5]
    assert [reference.reverse(output, np.array(1.0))[id(leaf)] for leaf in (a, b)] == [2, 5]
    assert reference.path_count(output, b) == 2


def test_shared_variable_as_the_notes_work_it_out():
    output = drawing.shared_variable(0.75)
    (x,) = (node for node in reference.ordered(output) if node.name == "x")
    assert len(list(reference.paths(output, x))) == 3
    expected = np.exp(0.75**2) + 2 * 0.75 * 0.75 * np.exp(0.75**2)
    assert within(reference.gradient_by_paths(output, x), expected)
    assert within(reference.reverse(output, np.array(1.0))[id(x)], expected)


@pytest.mark.parametrize("make", [drawing.sum_product, drawing.shared_variable])
def test_a_drawing_shows_every_value_and_every_derivative(make):
    output = make()
    nodes = [node for node in reference.ordered(output) if not node.constant]
    edges = [edge for node in nodes for edge in reference.incoming(node)]
    picture = ET.fromstring(drawing.drawn(output))
    texts = [element.text for element in picture.iter() if element.get("class") == "derivative"]
    assert sorted(texts) == sorted(f"{float(edge.pulled_back(np.array(1.0))):.4g}" for edge in edges)
    values = [element.text for element in picture.iter() if element.get("class") == "value"]
    assert sorted(values) == sorted(f"{float(node.value):.4g}" for node in nodes)
    assert drawing.dot(output).count("->") == len(edges)


def test_graphs_of_arrays_can_be_drawn():
    output, _ = reference.traced(lambda x, w: (x @ w).tanh().sum(), np.ones((2, 3)), np.ones((3, 2)))
    assert "2×3 numbers" in drawing.drawn(output)
    assert "matmul" not in drawing.dot(output)


# --- arrays ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shapes", "function"),
    [
        ([(2, 3), (3, 4)], lambda a, b: a @ b),
        ([(3,), (3, 4)], lambda a, b: a @ b),
        ([(2, 3), (3,)], lambda a, b: a @ b),
        ([(3,), (3,)], lambda a, b: a @ b),
        ([(5, 2, 3), (3, 4)], lambda a, b: a @ b),
        ([(5, 2, 3), (3,)], lambda a, b: a @ b),
        ([(3,), (5, 3, 2)], lambda a, b: a @ b),
        ([(2, 1, 3), (4, 1)], lambda a, b: (a * b - a / (b * b + 1)).sum(1)),
        ([(2, 3)], lambda a: a.T @ a),
        ([(2, 3)], lambda a: (a.sigmoid() * 2.0 - 1 / (1 + (-a).exp())).relu()),
        ([(3,)], lambda a: (a.exp() / a.exp().sum()).log()),
        ([(), (2, 2)], lambda a, b: (2.0**a) * b + a ** (b * b)),
    ],
)
def test_jacobians_are_those_of_torch(shapes, function):
    rng = np.random.default_rng(3)
    inputs = [rng.uniform(0.25, 1.5, shape) for shape in shapes]
    tensors = tuple(map(torch.tensor, inputs))
    expected = torch.func.jacrev(function, argnums=tuple(range(len(inputs))))(*tensors)
    for found in (reference.jacobian(function, *inputs), ours.jacobian(function, *tensors)):
        for mine, theirs in zip(found, expected, strict=True):
            assert mine.shape == theirs.shape
            assert within(mine, theirs)


def test_paths_and_the_sweep_agree_on_arrays():
    output, leaves = reference.traced(
        lambda x, w: ((x @ w).tanh() * x.sum(0)).sum(), np.eye(3)[:2] + 0.5, np.eye(3) * 2
    )
    swept = reference.reverse(output, np.array(1.0))
    for leaf in leaves:
        assert within(reference.gradient_by_paths(output, leaf), swept[id(leaf)])


def test_powers_of_zero_and_of_negative_numbers():
    _, pullback = reference.vjp(lambda x: x**0 + x**1 + x**2, np.array([0.0, -2.0]))
    assert pullback(np.ones(2))[0].tolist() == [1.0, -3.0]
    _, pullback = ours.vjp(lambda x: x**0 + x**1 + x**2, torch.tensor([0.0, -2.0]))
    assert pullback(torch.ones(2))[0].tolist() == [1.0, -3.0]


# --- size ------------------------------------------------------------------------------------------------------------


def chained(length):
    def function(x):
        for _ in range(length):
            x = x * 1.0001
        return x

    return function


@pytest.mark.parametrize(("module", "one"), [(reference, np.float64(1.0)), (ours, torch.tensor(1.0).double())])
def test_ten_thousand_nodes_in_a_row_and_two_to_the_fifty_paths(module, one):
    _, pullback = module.vjp(chained(10_000), one)
    assert within(pullback(one)[0], 1.0001**10_000, 2**16)

    def doubled(x):
        for _ in range(50):
            x = x + x
        return x

    _, pullback = module.vjp(doubled, one)
    assert float(pullback(one)[0]) == 2.0**50


def test_paths_are_counted_without_walking_them():
    def doubled(x):
        for _ in range(50):
            x = x + x
        return x

    output, (leaf,) = reference.traced(doubled, 1.0)
    assert reference.path_count(output, leaf) == 2**50


def test_the_time_is_linear_in_the_edges(monkeypatch):
    pulled = []
    edge = reference.Edge.pulled_back
    monkeypatch.setattr(reference.Edge, "pulled_back", lambda self, g: pulled.append(1) or edge(self, g))
    for length in (100, 200, 400):
        pulled.clear()
        _, pullback = reference.vjp(lambda x, n=length: chained(n)(x) + x, 1.0)
        pullback(1.0)
        assert len(pulled) == length + 2


# --- arguments -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["vjp", "jacobian"])
def test_bad_arguments_are_refused(name):
    with pytest.raises(TypeError, match="function was a int, expected a callable"):
        getattr(reference, name)(3, 1.0)
    with pytest.raises(TypeError, match="function was a int, expected a callable"):
        getattr(ours, name)(3, torch.ones(2))
    with pytest.raises(TypeError, match="input 0 holds complex128, expected real numbers"):
        getattr(reference, name)(lambda x: x, 1j)
    with pytest.raises(TypeError, match=r"input 0 was a float, expected a torch\.Tensor"):
        getattr(ours, name)(lambda x: x, 1.0)
    with pytest.raises(TypeError, match="input 0 holds int64, expected real numbers"):
        getattr(ours, name)(lambda x: x, torch.ones(2, dtype=torch.int64))


def test_the_upstream_gradient_must_have_the_outputs_shape():
    with pytest.raises(ValueError, match=r"cotangent has shape \(3,\), expected \(2,\)"):
        reference.vjp(lambda x: x, np.ones(2))[1](np.ones(3))
    with pytest.raises(ValueError, match=r"cotangent has shape \(3,\), expected \(2,\)"):
        ours.vjp(lambda x: x, torch.ones(2))[1](torch.ones(3))


def test_what_does_not_depend_on_an_input_has_gradient_zero():
    output, pullback = reference.vjp(lambda x: 3.0, np.ones(2))
    assert output == 3
    assert pullback(1.0)[0].tolist() == [0, 0]
    assert ours.vjp(lambda x: 3.0, torch.ones(2))[1](torch.tensor(1.0))[0].tolist() == [0, 0]


# --- as other people write them --------------------------------------------------------------------------------------


class Value:
    """The usual scalar engine, whose mistake is the marked line."""

    def __init__(self, data, parents=()):
        self.data, self.grad, self.parents = data, np.zeros_like(data), parents

    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(np.asarray(other, float))
        return Value(self.data + other.data, ((self, lambda g: g), (other, lambda g: g)))

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(np.asarray(other, float))
        return Value(self.data * other.data, ((self, lambda g: g * other.data), (other, lambda g: g * self.data)))

    __radd__, __rmul__ = __add__, __mul__

    def exp(self):
        out = np.exp(self.data)
        return Value(out, ((self, lambda g: g * out),))

    def backward(self, gradient, keep):
        order, seen = [], set()

        def visit(node):
            if id(node) not in seen:
                seen.add(id(node))
                for parent, _ in node.parents:
                    visit(parent)
                order.append(node)

        sys.setrecursionlimit(10_000)
        visit(self)
        self.grad = gradient
        for node in reversed(order):
            for parent, local in node.parents:
                part = reference.summed_to(local(node.grad), parent.data.shape)
                parent.grad = part + (parent.grad if keep else 0)


def engine(keep):
    def vjp(function, *inputs):
        leaves = [Value(np.asarray(x, float)) for x in inputs]
        output = function(*leaves)

        def pullback(cotangent):
            for leaf in leaves:
                leaf.grad = np.zeros_like(leaf.data)
            output.backward(cotangent, keep)
            return tuple(leaf.grad for leaf in leaves)

        return output.data, pullback

    return vjp


def test_an_engine_that_overwrites_gradients_is_told_so():
    found = report("vjp", engine(keep=False))
    assert not found.conforms
    assert any(finding.flag == "vjp-overwritten" for finding in found.findings)


def test_a_call_with_too_few_inputs_is_the_targets_mistake():
    found = report("vjp", lambda function, *inputs: (function(*inputs[:-1]), None))
    assert not found.conforms
    assert "the function was called with" in str(found)


def test_what_an_engine_of_arrays_lacks_is_not_provided():
    found = report("vjp", engine(keep=True))
    statuses = {check.id.rsplit(".", 1)[1]: check.status for check in found.checks}
    assert found.conforms
    assert statuses["half"] == "not_provided"
    assert statuses["many_paths"] == "pass"
    assert statuses["matmul"] == "not_provided"


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("name", ["vjp", "jacobian"])
def test_ours_conforms(name, device):
    found = report(name, registry.implementation(name, "torch"), device)
    assert found.conforms, str(found)
