"""The mutants of a family's reference: every operator, comparison, number and bound of a slice changed, one at a time.

Out of scope is what only serves to refuse bad arguments, for which no case asks: statements that do nothing but raise,
and what is worked out or handed over for them alone.
"""

import ast
import importlib
import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

_SWAPPED = """
Add Sub, Sub Add, Mult Div, Div Mult, FloorDiv Mult, Mod FloorDiv, Pow Mult, MatMult Mult, BitAnd BitOr, BitOr BitAnd,
BitXor BitOr, And Or, Or And, USub UAdd, Lt LtE GtE, LtE Lt Gt, Gt GtE LtE, GtE Gt Lt, Eq NotEq, NotEq Eq, Is IsNot,
IsNot Is, In NotIn, NotIn In
"""
OPERATORS: Mapping[type[ast.AST], list[type[Any]]] = {
    getattr(ast, first): [getattr(ast, other) for other in others]
    for first, *others in (names.split() for names in _SWAPPED.split(","))
}


@dataclass(frozen=True, slots=True, eq=False)
class Mutant:
    """One change: ``attribute`` of a node of a module gets another value.

    ``statements`` are the top-level statement that holds it and those that are worked out from that on import.
    ``lines`` are those of the innermost statement around it, ``body`` those of its function; both are empty outside
    functions.
    """

    module: ModuleType
    statements: Sequence[ast.stmt]
    function: str
    body: range
    lines: range
    at: int
    before: str
    after: str
    node: ast.AST
    attribute: str
    value: Any

    @property
    def name(self) -> tuple[str, str, str]:
        """What stays when lines move: the function, the line and what it becomes."""
        return self.function, self.before, self.after

    def made(self) -> dict[str, Any]:
        """What the statements define with the change. Raises whatever they raise."""
        kept = getattr(self.node, self.attribute)
        setattr(self.node, self.attribute, self.value)
        try:
            tree = ast.fix_missing_locations(ast.Module(list(self.statements), []))
            code = compile(tree, str(self.module.__file__), "exec", dont_inherit=True)
        finally:
            setattr(self.node, self.attribute, kept)
        namespace = dict(vars(self.module))
        exec(code, namespace)
        return {key: value for key, value in namespace.items() if vars(self.module).get(key) is not value}


Around = tuple[ast.AST, ...]


def modules(family: str) -> list[ModuleType]:
    """A family's reference, and those of its own modules that the reference imports."""
    found = [importlib.import_module(f"dlcheck.{family}.reference")]
    for module in found:
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"dlcheck.{family}"):
                names = [f"{node.module}.{alias.name}" for alias in node.names] + [str(node.module)]
                imported = (sys.modules[name] for name in names if name in sys.modules)
                found += [other for other in imported if other not in found and hasattr(other, "__file__")]
    return [module for module in found if not str(module.__file__).endswith("__init__.py")]


def mutants(family: str) -> list[Mutant]:
    """Every mutant of a family's reference, in the order of its lines."""
    trees = {module: ast.parse(inspect.getsource(module)) for module in modules(family)}
    functions = [node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    checkers = {node.name: _only_checked(node) for node in functions}
    return [found for module, tree in trees.items() for found in _Source(module, tree, checkers).mutants()]


def _refuses(node: ast.AST) -> bool:
    """Whether a statement does nothing but raise, if anything."""
    if isinstance(node, (ast.If, ast.For, ast.ExceptHandler)):
        return _refuses(node.body[-1]) and all(map(_refuses, getattr(node, "orelse", [])))
    return isinstance(node, ast.Raise)


def _only_checked(function: ast.FunctionDef) -> dict[str, int]:
    """The names in a function that nothing but its refusals reads, with their place among its arguments, or -1."""
    refused = {id(inner) for node in ast.walk(function) if _refuses(node) for inner in ast.walk(node)}
    names = [node for node in ast.walk(function) if isinstance(node, ast.Name)]
    used = {node.id for node in names if id(node) not in refused and isinstance(node.ctx, ast.Load)}
    positions = {argument.arg: place for place, argument in enumerate(function.args.args)}
    return {node.id: positions.get(node.id, -1) for node in names if id(node) in refused and node.id not in used}


def _on_import(node: ast.AST) -> Iterator[str]:
    """The names that a statement reads, and those that it defines, as its module is imported."""
    if isinstance(node, (ast.Name, ast.FunctionDef, ast.ClassDef)):
        yield node.id if isinstance(node, ast.Name) else node.name
    inside = [node.args] if isinstance(node, ast.FunctionDef) else ast.iter_child_nodes(node)
    for child in () if isinstance(node, ast.Lambda) else inside:
        yield from _on_import(child)


def _followed(statement: ast.stmt, body: Sequence[ast.stmt]) -> list[ast.stmt]:
    """A statement that is no function, and those after it that read what it defines on import."""
    found = [statement]
    if isinstance(statement, (ast.Assign, ast.AnnAssign)):
        changed = set(_on_import(statement.targets[0] if isinstance(statement, ast.Assign) else statement.target))
        found += [later for later in body if later.lineno > statement.lineno and changed & set(_on_import(later))]
    return found


class _Source:
    """The mutants of one module."""

    def __init__(self, module: ModuleType, tree: ast.Module, checkers: Mapping[str, Mapping[str, int]]):
        self.module, self.tree, self.checkers = module, tree, checkers
        self.text = inspect.getsource(module).splitlines()

    def mutants(self) -> Iterator[Mutant]:
        for top in self.tree.body:
            statements = _followed(top, self.tree.body)
            for node, around in self._sites(top, ()):
                for attribute, value in _edits(node):
                    yield self._mutant(statements, around, node, attribute, value)

    def _sites(self, node: ast.AST, around: Around) -> Iterator[tuple[ast.AST, Around]]:
        """The nodes in scope, with the functions, classes and statements around each."""
        if _refuses(node) or isinstance(node, (ast.Import, ast.ImportFrom, ast.JoinedStr, ast.arg)):
            return
        functions = [outer for outer in around if isinstance(outer, ast.FunctionDef)]
        checked = _only_checked(functions[-1]) if functions else {}
        if isinstance(node, ast.Assign) and all(isinstance(t, ast.Name) and t.id in checked for t in node.targets):
            return
        around = (*around, node) if isinstance(node, (ast.stmt, ast.ExceptHandler)) else around
        children = list(ast.iter_child_nodes(node))
        match node:
            case ast.FunctionDef():
                children = [node.args, *node.body]
            case ast.ClassDef():
                children = list(node.body)
            case ast.AnnAssign():
                children = [node.value] if node.value else []
            case ast.Call(func=ast.Attribute(attr="reshape")):
                # any negative number stands for the length that is left
                lengths = [argument for argument in node.args if isinstance(argument, ast.UnaryOp)]
                yield from ((length, around) for length in lengths)
                children = [child for child in children if child not in lengths]
            case ast.Call():
                children = [node.func, *self._handed_over(node)]
            case _:
                yield node, around
        for child in children:
            yield from self._sites(child, around)

    def _handed_over(self, call: ast.Call) -> list[ast.expr]:
        """The arguments of a call, without those for refusals alone."""
        name = call.func.id if isinstance(call.func, ast.Name) else ""
        checked = {"isinstance": {"type": 1}, "zip": {"strict": -1}}.get(name) or self.checkers.get(name, {})
        named = [keyword.value for keyword in call.keywords if keyword.arg not in checked]
        return [argument for place, argument in enumerate(call.args) if place not in checked.values()] + named

    def _mutant(self, statements: Sequence[ast.stmt], around: Any, node: Any, attribute: str, value: Any) -> Mutant:
        kept = getattr(node, attribute)
        place, lines, body = node if hasattr(node, "lineno") else kept, range(0), range(0)
        setattr(node, attribute, value)
        changed = ast.unparse(node if hasattr(node, "lineno") else value)
        setattr(node, attribute, kept)
        text = self.text[place.lineno - 1 : place.end_lineno]
        head, tail = text[0].encode()[: place.col_offset].decode(), text[-1].encode()[place.end_col_offset :].decode()
        before, after = (" ".join(line.split()) for line in ("\n".join(text), head + changed + tail))
        functions = [outer for outer in around if isinstance(outer, ast.FunctionDef)]
        if functions:
            start, inner = around[-1].lineno, getattr(around[-1], "body", None)
            body = range(functions[-1].body[0].lineno, functions[-1].end_lineno + 1)
            lines = range(start, max(start, inner[0].lineno - 1 if inner else around[-1].end_lineno) + 1)
            lines = body if around[-1] is functions[-1] else lines
        named = ".".join(outer.name for outer in around if isinstance(outer, (ast.FunctionDef, ast.ClassDef)))
        return Mutant(self.module, statements, named, body, lines, place.lineno, before, after, node, attribute, value)


def _edits(node: ast.AST) -> Iterator[tuple[str, Any]]:
    """The changes that a node itself allows: an attribute and its new value."""
    match node:
        case ast.BinOp(op=op) | ast.AugAssign(op=op) | ast.BoolOp(op=op) | ast.UnaryOp(op=ast.USub() as op):
            yield from (("op", other()) for other in OPERATORS.get(type(op), ()))
        case ast.UnaryOp(op=ast.Not() | ast.Invert() as op, operand=operand):
            yield "operand", ast.UnaryOp(type(op)(), operand)
        case ast.Compare(ops=ops):
            for place, op in enumerate(ops):
                yield from (("ops", [*ops[:place], other(), *ops[place + 1 :]]) for other in OPERATORS[type(op)])
        case ast.Constant(value=bool(value)):
            yield "value", not value
        case ast.Constant(value=int(value)):
            yield "value", value + 1
        case ast.Constant(value=float(value)):
            yield "value", value * 1.25 if value else 1.0
        case ast.Slice():
            for side in ("lower", "upper"):
                bound = getattr(node, side)
                if bound and not isinstance(bound, (ast.Constant, ast.UnaryOp)):
                    yield side, ast.BinOp(bound, ast.Add(), ast.Constant(1))
