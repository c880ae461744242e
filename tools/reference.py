"""Write docs/reference/ from the code: `make reference`. tests/architecture compares.

Whatever can be said from a table in the code is said once, there.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

import pgstead
from pgstead import app
from pgstead.app import staged
from pgstead.cli.main import new_program
from pgstead.errors import ExitStatus, SteadError
from pgstead.lint.registry import SUBJECTS
from pgstead.lint.rule import Harm, Rule
from pgstead.lint.weighing import SMALL
from pgstead.manifest.document import Manifest
from pgstead.manifest.quantities import duration, written_duration
from pgstead.prove.registry import promises
from pgstead.render import runbooks, variables

REFERENCE = Path(__file__).resolve().parent.parent / "docs" / "reference"
MADE = "<!-- made by `make reference` from {source}; edit that -->\n"

STATUSES = {
    ExitStatus.DONE: "done, or every promise kept",
    ExitStatus.FAILED: "something failed, or a promise is broken",
    ExitStatus.USAGE: "the command line or the manifest is wrong",
    ExitStatus.DRIFT: "the plan is not empty, or something is not allowed: an impact, a migration",
    ExitStatus.UNPROVEN: "nothing is broken, but something could have been tried and was not",
    ExitStatus.INITIALIZATION: "the first initialization failed",
}


def cell(text: str) -> str:
    """Return a text that Markdown shows as it is: no bar, no tag."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def table(heads: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    """Return a table in Markdown."""
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "".join(f"| {' | '.join(map(cell, line))} |\n" for line in lines)


# ------------------------------------------------------------------------------------- errors


def all_errors() -> list[type[SteadError]]:
    """Return every error of the package, wherever it is defined, by code."""
    for module in pkgutil.walk_packages(pgstead.__path__, "pgstead."):
        if module.name != "pgstead.__main__":
            importlib.import_module(module.name)

    def below(root: type[SteadError]) -> Iterator[type[SteadError]]:
        yield root
        for child in root.__subclasses__():
            yield from below(child)

    ours = {e for e in below(SteadError) if e.__module__.startswith("pgstead.")}
    return sorted(ours, key=lambda error: (error.code, error.__name__))


def sentence(error: type[SteadError]) -> str:
    """Return the first line of an error's docstring, as it is printed: no capital, no stop."""
    first = (error.__doc__ or "").strip().splitlines()[0].removesuffix(".")
    return first if first[1:2].isupper() or " " not in first else _lowered(first)


def _lowered(text: str) -> str:
    word = text.split(" ", 1)[0]
    return text if word in {"PostgreSQL's", "PgBouncer", "TLS"} else text[0].lower() + text[1:]


def errors_page() -> str:
    """Return the page of errors and exit statuses."""
    statuses = table(("status", "meaning"), ((str(int(s)), STATUSES[s]) for s in ExitStatus))
    errors = table(
        ("code", "status", "meaning"),
        ((f"`{e.code}`", str(int(e.exit_status)), sentence(e)) for e in all_errors()),
    )
    return (
        f"{MADE.format(source='src/pgstead/errors.py')}\n# Errors and exit statuses\n\n"
        "An error says what was tried, and after `hint:` what to do.\n"
        "With `--json` it is an object with `error` (the code), `message`, `hint` and"
        " `exit_status`.\n`pgstead explain CODE` says more.\n"
        "Anything else that ends a command is a bug, and is reported as one.\n\n"
        f"{statuses}\n{errors}"
    )


# ----------------------------------------------------------------------------------- manifest


def tables_of(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield each table of the manifest with its path: `server`, `databases[].pool`."""
    yield path, model
    for name, field in model.model_fields.items():
        for part, listed in parts_of(field.annotation):
            deeper = f"{path}.{name}" if path else name
            yield from tables_of(part, deeper + ("[]" if listed else ""))


def parts_of(annotation: object) -> Iterator[tuple[type[BaseModel], bool]]:
    """Yield the tables that a key may hold, and whether there are several of them."""
    origin = typing.get_origin(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, False
    elif origin in {typing.Union, types.UnionType, typing.Annotated}:
        for argument in typing.get_args(annotation):
            yield from parts_of(argument)
    elif origin in {tuple, list}:
        yield from ((part, True) for a in typing.get_args(annotation) for part, _ in parts_of(a))


def default_of(field: FieldInfo) -> str:
    """Return a default as TOML shows it."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    match value:
        case None | "" | () | {} | BaseModel():
            return ""
        case bool():
            return f"`{str(value).lower()}`"
        case tuple():
            return f"`[{', '.join(repr(v).replace(chr(39), chr(34)) for v in value)}]`"
        case float() if any(getattr(m, "func", None) is duration for m in field.metadata):
            return f'`"{written_duration(value)}"`'
        case str():
            return f'`"{value}"`'
        case _:
            return f"`{value}`"


def rows_of(model: type[BaseModel]) -> Iterator[tuple[str, ...]]:
    """Yield the keys of a table; tables below have their own section."""
    for name, field in model.model_fields.items():
        if not any(parts_of(field.annotation)):
            yield f"`{name}`", default_of(field), field.description or ""


def heading(path: str) -> str:
    """Return a table's name as TOML writes it."""
    if not path:
        return "The top of the file"
    plain = path.replace("[]", "")
    return f"`[[{plain}]]`" if path.endswith("[]") else f"`[{plain}]`"


def manifest_page() -> str:
    """Return the page of the manifest's keys."""
    page = (
        f"{MADE.format(source='src/pgstead/manifest/document.py')}\n# The manifest\n\n"
        "`pgstead.toml`. Unknown keys are refused with the nearest known one; every message"
        " names the key's path.\n`pgstead schema` prints this as JSON Schema for editors.\n"
        'Sizes are written `"16MB"`, durations `"30s"` or `"14min"`.\n'
    )
    for path, model in tables_of(Manifest):
        about = (model.__doc__ or "").strip().splitlines()[0]
        keys = table(("key", "default", "meaning"), rows_of(model))
        page += f"\n## {heading(path)}\n\n{about}\n\n{keys}"
    return page


# ----------------------------------------------------------------------------------- promises


def promises_page() -> str:
    """Return the page of promises."""
    every = promises()
    page = (
        f"{MADE.format(source='src/pgstead/prove/')}\n# Promises\n\n"
        "What `pgstead prove` tries. Each has a sabotage in `tests/sabotage`: a damage under"
        " which it is seen to break.\nA code is never used again for another promise.\n"
    )
    for capability in dict.fromkeys(p.capability for p in every):
        rows = (
            (f"`{p.code}`", p.text, ", ".join(p.requirements))
            for p in every
            if p.capability is capability
        )
        page += f"\n## {capability}\n\n{table(('code', 'promise', 'requirement'), rows)}"
    return page


# --------------------------------------------------------------------------------------- lint


def lint_page() -> str:
    """Return the page of the rules of `pgstead migrate lint`, by subject."""
    page = (
        f"{MADE.format(source='src/pgstead/lint/')}\n# Rules of the lint\n\n"
        "What `pgstead migrate lint` looks for.\n"
        "An error is refused, a warning is to be looked at, a note is harmless as far as is known."
        "\n`*`: on a table below"
        f" {SMALL.rows:,} rows and {SMALL.bytes // 2**20} MB of the target (`--against-live`) it is"
        " a note.\n\nA comment answers for a finding, in the statement or above it, with a reason:"
        " `# pgstead: ignore[drop-column] no release maps it any more`.\n"
        "Rules called `squawk:...` are [squawk's](https://squawkhq.com), kept where none of these"
        " looks at the same.\n"
    )
    for subject in SUBJECTS:
        page += f"\n## {subject.name[0].upper()}{subject.name[1:]}\n\n"
        page += table(("rule", "level", "what", "breaks", "safe"), map(rule_row, subject.rules))
    return page


def rule_row(rule: Rule) -> tuple[str, ...]:
    """Return a rule as a line; the words in braces are those of the place."""
    lock = f"{rule.lock.mode} blocks {rule.lock.blocks} {rule.work.words}" if rule.lock else ""
    weighed = " *" if rule.harm is Harm.LOCK else ""
    breaks = rule.breaks or lock
    return f"`{rule.name}`", f"{rule.level.value}{weighed}", rule.message, breaks, rule.safe


# ----------------------------------------------------------------------------------- commands


def commands_below(command: click.Command, words: str) -> Iterator[tuple[str, click.Command]]:
    """Yield a command and those below it, each with the words that call it."""
    yield words, command
    if isinstance(command, click.Group):
        ctx = click.Context(command)
        for name in command.list_commands(ctx):
            child = command.get_command(ctx, name)
            assert child is not None
            yield from commands_below(child, f"{words} {name}")


def commands_page() -> str:
    """Return the page of commands: each one's own help, word for word."""
    page = (
        f"{MADE.format(source='src/pgstead/cli/')}\n# Commands\n\n"
        "What `--help` says. Results go to stdout, talk to stderr; `--json` prints the result for"
        " programs.\n`-C`, `--json` and `-q` may stand before the command or behind it.\n"
    )
    for words, command in commands_below(new_program(), "pgstead"):
        ctx = click.Context(
            command,
            info_name=words,
            terminal_width=88,
            max_content_width=88,
            help_option_names=["-h", "--help"],
        )
        page += f"\n## `{words}`\n\n```text\n{command.get_help(ctx)}\n```\n"
    return page


# ------------------------------------------------------------------------ application library

PARTS = {
    "Databases and sessions": ("engine", "sync", "scope", "breaker"),
    "A service": ("service", "transactions", "problems", "resources", "shapes"),
    "Through failures": ("degraded", "resilience"),
    "Models": ("models", "rows", "identifiers", "tenancy", "views"),
    "Encrypted columns": ("encryption",),
    "Personal data": ("personal",),
    "Data kept fit": ("retention", "partitions", "integrity"),
    "Errors": ("errors", "role_guard"),
}
# What has no docstring of its own.
SENTENCES = {
    "JsonObject": "The annotation of a column that holds a JSON object; `jsonb`.",
    "NAMING_CONVENTION": "Names of constraints and indexes, for `MetaData(naming_convention=...)`.",
    "TYPES": "Types of columns by annotation, for `type_annotation_map` of the declarative base.",
    "Session": "The annotation of a route's session, of nobody in particular.",
}


def public_names() -> Iterator[tuple[str, str, object]]:
    """Yield each public name with its module, in the order of the page."""
    for modules in PARTS.values():
        for module in modules:
            for name in app.HOMES[module]:
                yield module, name, getattr(app, name)


def told_of(name: str, found: object) -> str:
    """Return the first sentence of a name's docstring, on one line."""
    text = SENTENCES.get(name) or (inspect.getdoc(found) or "").split("\n\n")[0]
    return " ".join(text.split())


def called(name: str, found: object) -> str:
    """Return how a name is written: a function with its arguments' names."""
    if not inspect.isfunction(found):
        return f"`{name}`"
    return f"`{name}({', '.join(_arguments(found))})`"


def _arguments(function: types.FunctionType) -> Iterator[str]:
    marks = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    keyword = False
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and not keyword:
            keyword = True
            yield "*"
        if name not in ("self", "cls"):
            yield marks.get(parameter.kind, "") + name


def methods_of(name: str, found: object) -> Iterator[tuple[str, str]]:
    """Yield the public methods that a class of ours defines, each with its sentence."""
    for key, value in vars(found).items() if inspect.isclass(found) else ():
        plain = inspect.unwrap(getattr(value, "__func__", value))
        if not key.startswith("_") and inspect.isfunction(plain) and plain.__doc__:
            yield called(f"{name}.{key}", plain), told_of(key, plain)


def application_page() -> str:
    """Return the page of what applications import."""
    page = (
        f"{MADE.format(source='src/pgstead/app/')}\n# The application library\n\n"
        "Every name is imported from `pgstead.app`; the column says which module it comes from."
        " Importing one imports nothing that it does not need.\n"
        "[Your first application](../tutorials/your-first-application.md) shows them at work.\n"
    )
    for part, modules in PARTS.items():
        rows = [
            (written, f"`{module}`", sentence)
            for module, name, found in public_names()
            if module in modules
            for written, sentence in (
                (called(name, found), told_of(name, found)),
                *(() if part == "Errors" else methods_of(name, found)),
            )
        ]
        page += f"\n## {part}\n\n{table(('name', 'module', 'meaning'), iter(rows))}"
    return page


# ---------------------------------------------------------------------------- changes in stages


def staged_page() -> str:
    """Return the page of what revisions change tables with."""
    helpers = {n: f for n in staged.__all__ if inspect.isfunction(f := getattr(staged, n))}
    rows = [(called(name, found), told_of(name, found)) for name, found in helpers.items()]
    page = (
        f"{MADE.format(source='src/pgstead/app/staged/')}\n# Changes in stages\n\n"
        "`from pgstead.app import staged`, in revisions."
        " [Change a table in stages](../how-to/change-tables-in-stages.md) shows them at work.\n\n"
        f"{table(('helper', 'what it does'), iter(rows))}"
    )
    for kind in (staged.Replacement, staged.Pace):
        fields = [
            (
                f"`{f.name}`",
                f"`{f.type}`",
                "" if f.default is dataclasses.MISSING else f"`{f.default!r}`",
            )
            for f in dataclasses.fields(kind)
        ]
        page += f"\n## `{kind.__name__}`\n\n{told_of(kind.__name__, kind)}\n\n"
        page += table(("field", "type", "default"), iter(fields))
    return page


def pages() -> dict[str, str]:
    """Return every page by its file name."""
    return {
        "alerts.md": MADE.format(source="src/pgstead/catalog/alert_rules.py") + runbooks.page(),
        "application.md": application_page(),
        "commands.md": commands_page(),
        "environment.md": MADE.format(source="src/pgstead/catalog/variables.py") + variables.page(),
        "errors.md": errors_page(),
        "lint.md": lint_page(),
        "manifest.md": manifest_page(),
        "promises.md": promises_page(),
        "staged.md": staged_page(),
    }


def main() -> int:
    """Write the pages."""
    REFERENCE.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (REFERENCE / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
