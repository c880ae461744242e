"""`pgstead explain KEY`."""

from __future__ import annotations

import difflib
import inspect
from typing import TYPE_CHECKING

import click

from pgstead import errors
from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import Invocation, invocation_of
from pgstead.errors import SteadError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pgstead.model.design import Reason
    from pgstead.prove.promise import Promise


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
    if key is None:
        _list(console, invocation)
        return
    error = _error(key)
    promise = None if error else _promise(key)
    if error is not None:
        _explain_error(console, error)
    elif promise is not None:
        _explain_promise(console, promise)
    else:
        _explain_value(console, _reason(_reasons(invocation), key))


def _reasons(invocation: Invocation) -> Mapping[str, Reason]:
    from pgstead.cli.wiring import design_of

    return design_of(invocation.manifest, tolerant=True).reasons


def _list(console: Console, invocation: Invocation) -> None:
    reasons = _reasons(invocation)
    if console.json:
        console.data(reasons)
        return
    console.table(
        [(r.name, r.value, r.source) for r in reasons.values()], ("key", "value", "source")
    )
    console.hint("`pgstead explain KEY` shows the formula and what went into it")


def _reason(reasons: Mapping[str, Reason], key: str) -> Reason:
    """Find a reason by its whole name, or by its last part where that is unambiguous."""
    if key in reasons:
        return reasons[key]
    ending = [name for name in reasons if name.endswith(f".{key}")]
    if len(ending) == 1:
        return reasons[ending[0]]
    if ending:
        raise UsageError(f"`{key}` could be several", hint=f"choose: {', '.join(ending)}")
    short = {name.rpartition(".")[2]: name for name in reasons}
    near = difflib.get_close_matches(key, [*reasons, *short], n=1)
    meant = f"; did you mean `{short.get(near[0], near[0])}`?" if near else ""
    raise UsageError(
        f"there is no value `{key}`{meant}", hint="`pgstead explain` without a key lists them all"
    )


def _explain_value(console: Console, reason: Reason) -> None:
    if console.json:
        console.data(reason)
        return
    console.line(f"{reason.name} = {reason.value}")
    console.line()
    rows = [("formula", reason.formula)] if reason.formula else []
    rows += [(name, value) for name, value in reason.inputs.items()]
    rows.append(("source", reason.source))
    console.table(rows, indent="  ")


def _error(code: str) -> type[SteadError] | None:
    classes = [c for _, c in inspect.getmembers(errors, inspect.isclass)]
    known = [c for c in classes if issubclass(c, SteadError)]
    return next((c for c in known if c.code == code), None)


def _explain_error(console: Console, error: type[SteadError]) -> None:
    meaning = inspect.getdoc(error) or ""
    status = int(error.exit_status)
    if console.json:
        console.data({"error": error.code, "meaning": meaning, "exit_status": status})
        return
    console.line(f"{error.code}: {meaning}")
    console.line()
    console.table(
        [("class", f"pgstead.errors.{error.__name__}"), ("exit status", str(status))], indent="  "
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
