"""`pgstead explain KEY`."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

import pgstead
from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console, shortened
from pgstead.cli.invocation import Invocation, invocation_of
from pgstead.errors import SteadError

if TYPE_CHECKING:
    from pgstead.model.design import Design, Reason
    from pgstead.prove.promise import Promise

# `connection-file`, but no `server.work_mem` and no `TLS-001`
_CODE = re.compile(r"[a-z]+(-[a-z]+)+")


@new_command(
    "explain",
    ("pgstead explain server.work_mem", "value, formula, inputs and source"),
    ("pgstead explain work_mem", "the same: the capability may be left out"),
    ("pgstead explain TLS-001", "what a promise says and which requirement it proves"),
    ("pgstead explain port-taken", "what an error's code means"),
    ("pgstead explain", "every value that pgstead derived"),
    exits=(0, 2),
)
@click.argument("key", required=False)
def command(key: str | None) -> None:
    """Say where a value, a promise or an error comes from.

    Every value that pgstead derives keeps its reason: the formula, what went into it, and the
    manual page or requirement that it follows.
    """
    invocation = invocation_of()
    console = Console(invocation)
    if key is not None and (error := _error(key)):
        _explain_error(console, error)
    elif key is not None and (promise := _promise(key)):
        _explain_promise(console, promise)
    else:
        _explain_design(console, invocation, key)


def _explain_design(console: Console, invocation: Invocation, key: str | None) -> None:
    from pgstead.cli.wiring import design_of
    from pgstead.design.explain import explain

    design = design_of(invocation.manifest, tolerant=True)
    if key is None:
        _list(console, design)
    else:
        _explain_value(console, explain(design, key))


def _list(console: Console, design: Design) -> None:
    reasons = design.reasons
    if console.json:
        console.data(reasons)
        return
    rows = [(r.name, shortened(r.value), r.source) for r in reasons.values()]
    console.table(rows, ("key", "value", "source"))
    console.hint("`pgstead explain KEY` shows the formula and what went into it")


def _explain_value(console: Console, reason: Reason) -> None:
    if console.json:
        console.data(reason)
        return
    console.line(f"{reason.name} = {reason.value}")
    console.line()
    rows = [(name, line) for name, text in _parts(reason) for name, line in _split(name, text)]
    console.table(rows, indent="  ")


def _parts(reason: Reason) -> list[tuple[str, str]]:
    formula = [("formula", reason.formula)] if reason.formula else []
    return [*formula, *reason.inputs.items(), ("source", reason.source)]


def _split(name: str, text: str) -> list[tuple[str, str]]:
    """Give each line of a sum a row of its own, the name in front of the first one."""
    lines = text.splitlines() or [""]
    return [(name if number == 0 else "", line) for number, line in enumerate(lines)]


def _error(code: str) -> type[SteadError] | None:
    """Find an error by its code; beyond errors.py only for what can be a code at all."""
    found = next((e for e in _below(SteadError) if e.code == code), None)
    if found is not None or not _CODE.fullmatch(code):
        return found
    for module in pkgutil.walk_packages(pgstead.__path__, "pgstead."):
        if module.name != "pgstead.__main__":
            importlib.import_module(module.name)
    return next((e for e in _below(SteadError) if e.code == code), None)


def _below(root: type[SteadError]) -> Iterator[type[SteadError]]:
    yield root
    for child in root.__subclasses__():
        yield from _below(child)


def _explain_error(console: Console, error: type[SteadError]) -> None:
    meaning = inspect.getdoc(error) or ""
    status = int(error.exit_status)
    if console.json:
        console.data({"error": error.code, "meaning": meaning, "exit_status": status})
        return
    console.line(f"{error.code}: {meaning}")
    console.line()
    console.table(
        [("class", f"{error.__module__}.{error.__name__}"), ("exit status", str(status))],
        indent="  ",
    )


def _promise(code: str) -> Promise | None:
    if "-" not in code or "." in code:
        return None
    from pgstead.prove.registry import promises

    return next((p for p in promises() if p.code.casefold() == code.casefold()), None)


def _explain_promise(console: Console, promise: Promise) -> None:
    told = {
        "code": promise.code,
        "promise": promise.text,
        "capability": promise.capability.value,
        "requirements": list(promise.requirements),
        "disruptive": promise.disruptive,
        "how": inspect.getdoc(promise.body) or "",
    }
    if console.json:
        console.data(told)
        return
    console.line(f"{promise.code}: {promise.text}")
    console.line()
    rows = [
        ("capability", promise.capability.value),
        ("proves", ", ".join(promise.requirements)),
        ("tried", "only with --disruptive" if promise.disruptive else "by every `pgstead prove`"),
    ]
    console.table(rows, indent="  ")
    if told["how"]:
        console.line()
        console.line(str(told["how"]))
    console.hint(f"`pgstead prove {promise.code} --evidence` tries it now")
