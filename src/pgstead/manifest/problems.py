"""Problems of a manifest in human words: the key path, what was found, what is allowed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pgstead.catalog.lookup import close_to
from pgstead.errors import ManifestError
from pgstead.manifest.document import Manifest


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    key: str
    text: str
    hint: str = ""

    def __str__(self) -> str:
        told = f"{self.key}: {self.text}" if self.key else self.text
        return f"{told}; {self.hint}" if self.hint else told


def path(loc: Iterable[int | str]) -> str:
    """Return the key path as people write it: `databases[0].pool.size`."""
    told = ""
    for step in loc:
        told += f"[{step}]" if isinstance(step, int) else f".{step}" if told else str(step)
    return told


def refusal(problems: Iterable[Problem], origin: str) -> ManifestError:
    """Return the error that lists every problem."""
    found = list(problems)
    first = found[0]
    if len(found) == 1:
        return ManifestError(
            f"{origin}: {first.key}: {first.text}" if first.key else f"{origin}: {first.text}",
            hint=first.hint,
            key=first.key,
            problems=(str(first),),
        )
    told = "\n".join(f"  {problem}" for problem in found)
    return ManifestError(
        f"{origin}: {len(found)} problems\n{told}",
        hint="`pgstead schema` prints what is allowed",
        key=first.key,
        problems=tuple(map(str, found)),
    )


def of(error: ValidationError) -> list[Problem]:
    """Return pydantic's findings in our words."""
    found = [(details, _problem(details)) for details in error.errors(include_url=False)]
    keys = [problem.key for _, problem in found]
    # A list whose only entry is wrong counts as empty: the entry's problem says enough.
    return [
        problem
        for details, problem in found
        if details["type"] != "too_short" or not any(k.startswith(f"{problem.key}[") for k in keys)
    ]


def _problem(details: ErrorDetails) -> Problem:
    loc = [step for step in details["loc"] if step not in _WRAPPERS]
    key = path(loc)
    given, context = details["input"], details.get("ctx", {})
    match details["type"]:
        case "extra_forbidden":
            return _unknown(loc, key)
        case "missing":
            return Problem(key, "is missing", _meaning(loc))
        case "value_error":
            return Problem(key, f"{_shown(given)} is not allowed", str(context.get("error", "")))
        case "literal_error" | "enum":
            allowed = str(context.get("expected", "")).replace("'", '"')
            known = [word.strip('" ') for word in allowed.replace(" or ", ",").split(",")]
            close = close_to(given, known) if isinstance(given, str) else ""
            return Problem(
                key, f"{_shown(given)} is not allowed", _joined(close, f"allowed: {allowed}")
            )
        case kind:
            return Problem(key, *_by_kind(kind, given, context))


_WRAPPERS = frozenset({"function-before[_scalar(), Chosen]"})

_TYPES: Mapping[str, str] = {
    "int_type": "a whole number, without quotes",
    "int_parsing": "a whole number, without quotes",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "a text in quotes",
    "tuple_type": "a list in [brackets]",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "date_type": "a date like 2027-01-31",
    "date_parsing": "a date like 2027-01-31",
    "date_from_datetime_parsing": "a date like 2027-01-31",
    "date_from_datetime_inexact": "a date without a time",
}


def _by_kind(kind: str, given: object, context: Mapping[str, Any]) -> tuple[str, str]:
    if kind in _TYPES:
        return f"{_shown(given)} is not allowed", f"allowed: {_TYPES[kind]}"
    bounds = {
        "greater_than": ("above", "gt"),
        "greater_than_equal": ("at least", "ge"),
        "less_than": ("below", "lt"),
        "less_than_equal": ("at most", "le"),
    }
    if kind in bounds:
        word, key = bounds[kind]
        return f"{_shown(given)} is out of range", f"allowed: {word} {context[key]}"
    if kind == "too_short":
        return "is empty", f"at least {context['min_length']} is needed"
    if kind == "string_too_short":
        return "is empty", "a text is needed"
    if kind == "string_pattern_mismatch":
        return f"{_shown(given)} is not allowed", f"it must match {context['pattern']}"
    return f"{_shown(given)} is not allowed", kind.replace("_", " ")


def _shown(given: object) -> str:
    if isinstance(given, str):
        return json.dumps(given, ensure_ascii=False)
    if isinstance(given, bool):
        return "true" if given else "false"
    if isinstance(given, dict):
        return "a table"
    if isinstance(given, (list, tuple)):
        return "a list"
    return str(given)


def _joined(*hints: str) -> str:
    return "; ".join(filter(None, hints))


def _unknown(loc: list[int | str], key: str) -> Problem:
    parent = model_at(loc[:-1])
    known = list(parent.model_fields) if parent else []
    close = close_to(str(loc[-1]), known)
    elsewhere = "" if close else _elsewhere(str(loc[-1]))
    allowed = f"allowed here: {', '.join(known)}" if known and not close else ""
    return Problem(key, "is no key that pgstead knows", _joined(close, elsewhere, allowed))


def _elsewhere(word: str) -> str:
    """Point to the table that has this very key."""
    found = [
        f"{name}.{word}"
        for name, field in Manifest.model_fields.items()
        if (model := _model_in(field.annotation)) and word in model.model_fields
    ]
    return f"it belongs to {' or '.join(found)}" if found else ""


def model_at(loc: Iterable[int | str]) -> type[BaseModel] | None:
    """Return the model at a key path."""
    model: type[BaseModel] | None = Manifest
    for step in loc:
        if isinstance(step, int):
            continue
        field = model.model_fields.get(step) if model else None
        if field is None:
            return None
        model = _model_in(field.annotation)
    return model


def _model_in(annotation: object) -> type[BaseModel] | None:
    """Find the model within `X | None`, `tuple[X, ...]` or `Annotated[X, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for a in get_args(annotation) if (m := _model_in(a))), None)


def _meaning(loc: list[int | str]) -> str:
    parent = model_at(loc[:-1])
    field = parent.model_fields.get(str(loc[-1])) if parent else None
    return field.description or "" if field else ""
