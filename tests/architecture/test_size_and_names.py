"""The hand: small modules, flat functions, names that say something (CONTRIBUTING.md)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.tracked import modules, name_of, text_of, tracked, tree_of

LINES_OF_A_MODULE = 400
LINES_OF_A_FUNCTION = 40
DEPTH = 4

# A name with one of these says that the concept behind it was not found yet.
EMPTY_NAMES = {"util", "utils", "helper", "helpers", "manager", "managers", "base", "common"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(path: Path) -> Iterator[Function]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, Function):
            yield node


def lines_of(nodes: list[ast.stmt]) -> int:
    return sum((node.end_lineno or 0) - node.lineno + 1 for node in nodes)


def body_lines(function: Function) -> int:
    """Count the body's lines without its docstring and without the functions inside it.

    Explaining is free, and what is inside is counted by itself.
    """
    explained = ast.get_docstring(function) is not None
    body = function.body[1:] if explained else function.body
    inner = [n for n in ast.walk(function) if isinstance(n, Function) and n is not function]
    whole = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
    return whole - lines_of([n for n in inner if n in body])


def depth(node: ast.AST) -> int:
    """Return how deep blocks nest; an `elif` and a `case` are no deeper than their neighbours."""
    deeper = isinstance(node, ast.If | ast.For | ast.AsyncFor | ast.While | ast.With | ast.Try)
    orelse = node.orelse if isinstance(node, ast.If) else []
    chained = len(orelse) == 1 and isinstance(orelse[0], ast.If)
    depths = [
        depth(child) - (1 if chained and child is orelse[0] else 0)
        for child in ast.iter_child_nodes(node)
        if not isinstance(child, Function | ast.ClassDef)
    ]
    return int(deeper) + max(depths, default=0)


def test_no_module_holds_two_things() -> None:
    long = {
        name_of(path): lines
        for path in modules()
        if (lines := text_of(path).count("\n")) > LINES_OF_A_MODULE
    }
    assert long == {}


def test_no_function_of_the_product_is_longer_than_a_screen() -> None:
    long = {
        f"{name_of(path)}:{function.lineno} {function.name}": lines
        for path in modules("src/")
        for function in functions(path)
        if (lines := body_lines(function)) > LINES_OF_A_FUNCTION
    }
    assert long == {}


def test_no_function_of_the_product_nests_deeply() -> None:
    deep = {
        f"{name_of(path)}:{function.lineno} {function.name}": found
        for path in modules("src/")
        for function in functions(path)
        if (found := max((depth(s) for s in function.body), default=0)) > DEPTH
    }
    assert deep == {}


def test_no_file_has_an_empty_name() -> None:
    found = [
        name_of(path)
        for path in tracked()
        if EMPTY_NAMES & set(re.split(r"[/._-]", name_of(path).lower()))
    ]
    assert found == []


def test_no_class_has_an_empty_name() -> None:
    found = [
        f"{name_of(path)}:{node.lineno} {node.name}"
        for path in modules("src/")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ClassDef)
        # SQLAlchemy's own word for the declarative root, and applications expect it.
        and node.name != "Base"
        and EMPTY_NAMES & {word.lower() for word in re.findall(r"[A-Z][a-z]*", node.name)}
    ]
    assert found == []


def test_every_test_name_is_a_sentence() -> None:
    short = [
        f"{name_of(path)}:{function.lineno} {function.name}"
        for path in modules("tests/")
        for function in functions(path)
        if function.name.startswith("test_") and len(function.name.split("_")) < 4
    ]
    assert short == []


MAKERS = ("list", "dict", "set", "defaultdict", "deque", "Counter")
MUTATORS = [
    "add",
    "append",
    "clear",
    "discard",
    "extend",
    "insert",
    "pop",
    "popitem",
    "remove",
    "setdefault",
    "sort",
    "update",
]


def is_mutable(value: ast.expr | None) -> bool:
    match value:
        case ast.List() | ast.Dict() | ast.Set() | ast.ListComp() | ast.DictComp() | ast.SetComp():
            return True
        case ast.Call(func=ast.Name(id=name)) | ast.Call(func=ast.Attribute(attr=name)):
            return name in MAKERS
        case _:
            return False


def mutable_names(path: Path) -> dict[str, int]:
    """Return the names at module level that hold something which can be changed in place."""
    names: dict[str, int] = {}
    for node in tree_of(path).body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if is_mutable(value):
                names[name] = node.lineno
            case ast.AnnAssign(target=ast.Name(id=name), value=value) if is_mutable(value):
                names[name] = node.lineno
            case _:
                pass
    return names


def changed_names(path: Path) -> Iterator[str]:
    """Yield each name that the module changes in place, or rebinds from inside a function."""
    for node in ast.walk(tree_of(path)):
        match node:
            case ast.Global(names=names):
                yield from names
            case ast.Subscript(value=ast.Name(id=name), ctx=ast.Store() | ast.Del()):
                yield name
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=attr)):
                if attr in MUTATORS:
                    yield name
            case ast.AugAssign(target=ast.Name(id=name)):
                yield name
            case _:
                pass


@pytest.mark.parametrize("under", ["src/", "systems/"])
def test_a_table_of_a_module_is_a_constant_that_nobody_changes(under: str) -> None:
    kept = [
        f"{name_of(path)}:{line} {name}"
        for path in modules(under)
        for name, line in mutable_names(path).items()
        if name != "__all__" and (name != name.upper() or name in set(changed_names(path)))
    ]
    assert kept == []


# The identity of a request is ambient in every web framework; handing it through an
# application's own functions is not ours to demand.
OF_A_REQUEST = {"src/pgstead/app/correlation.py"}


def test_no_module_of_the_product_keeps_ambient_state() -> None:
    """What a function needs it is given: no ContextVar, no `global`."""
    ambient = [
        f"{name_of(path)}:{node.lineno}"
        for path in modules("src/")
        if name_of(path) not in OF_A_REQUEST
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Global)
        or (isinstance(node, ast.Call) and ast.unparse(node.func).endswith("ContextVar"))
    ]
    assert ambient == []
