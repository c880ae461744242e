"""What a session may not do to its scope, refused before it is sent.

A guard against mistakes, not against SQL injection: it reads the text of a statement, so that what
a function or a DO block does inside the server is not seen. Policies hold all the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from sqlalchemy import Connection, Engine, MetaData, event

from pgstead.app.scope import (
    NOBODY,
    OPTION,
    SETTINGS,
    TENANT,
    USER,
    Scope,
    ScopeChangedError,
    UnscopedError,
)

ROW_SECURITY: Final = "pgstead.row_security"  # the key of a table's declaration in `Table.info`
_REMEMBERED: Final = 2000  # statements whose reading is kept

_TOKEN = re.compile(
    r"""
    (?P<skip>  --[^\n]* | /\*.*?\*/ | \s+ )
  | (?P<text>  [eE]?'(?:[^'\\]|''|\\.)*' | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ )
  | (?P<name>  "(?:[^"]|"")+" | [^\W\d][\w$]* )
  | (?P<mark>  . )
    """,
    re.VERBOSE | re.DOTALL,
)
_OPENS_LIST: Final = frozenset({"from", "join", "into", "update", "using", "table"})
_STAYS: Final = frozenset({"only", "lateral", "ordinality"})
_CLOSES_LIST: Final = frozenset(
    {"where", "group", "order", "having", "limit", "offset", "fetch", "for", "union", "except"}
    | {"intersect", "returning", "set", "values", "window", "on", "select"}
)
_ENDS: Final = frozenset({"commit", "end", "abort", "begin", "rollback", "prepare", "start"})


@dataclass(frozen=True, slots=True)
class Reading:
    """What a statement does, as far as its text tells."""

    tables: frozenset[str]
    sets_scope: bool
    ends_transaction: str  # the word, empty where it does not


def read(statement: str) -> Reading:
    """Read a statement's text."""
    words = [*_words(statement)]
    return Reading(frozenset(_tables(words)), _sets_scope(words, statement), _ends(words))


def needed(metadata: MetaData | None) -> Mapping[str, tuple[str, ...]]:
    """Return the settings that each protected table needs one of, by the table's name."""
    tables = metadata.tables.values() if metadata is not None else ()
    found: dict[str, tuple[str, ...]] = {}
    for table in tables:
        if (declared := table.info.get(ROW_SECURITY)) is not None:
            found[table.name.lower()] = tuple(getattr(declared, "settings", (TENANT,)))
    return found


def install(engine: Engine, metadata: MetaData | None) -> None:
    """Read every statement of an engine before it is sent."""
    readings: dict[str, Reading] = {}
    protected: dict[str, tuple[str, ...]] = {}
    tables_known = -1

    @event.listens_for(engine, "before_cursor_execute")
    def _(
        connection: Connection,
        _cursor: Any,
        statement: str,
        parameters: Any,
        _context: Any,
        _many: bool,  # noqa: FBT001 - SQLAlchemy's signature
    ) -> None:
        nonlocal tables_known
        reading = readings.get(statement)
        if reading is None:
            if len(readings) >= _REMEMBERED:
                readings.clear()
            reading = readings[statement] = read(statement)
        if metadata is not None and len(metadata.tables) != tables_known:
            # models may be imported, and so declared, after the engine was made
            tables_known = len(metadata.tables)
            protected.update(needed(metadata))
        if reading.ends_transaction or reading.sets_scope or "set_config" in statement:
            _refuse_control(reading, statement, parameters)
        if reading.tables and protected:
            _refuse_unscoped(connection, reading, protected)


def _refuse_control(reading: Reading, statement: str, parameters: Any) -> None:
    if reading.ends_transaction:
        raise ScopeChangedError(
            f"{reading.ends_transaction.upper()} was sent as a statement: the transaction would go"
            " on without its scope",
            hint="session.commit() and session.rollback() end it, session.begin_nested() makes a"
            " savepoint",
        )
    named = "set_config" in statement.lower() and any(
        name in SETTINGS for name in _flat(parameters)
    )
    if reading.sets_scope or named:
        raise ScopeChangedError(
            "a statement was about to change the scope of the transaction that it runs in",
            hint="one transaction is one tenant's and one user's: say so when the session is opened"
            " (db.session(tenant=...)), and open another one for another tenant",
        )


def _refuse_unscoped(
    connection: Connection, reading: Reading, protected: Mapping[str, tuple[str, ...]]
) -> None:
    scope = connection.get_execution_options().get(OPTION, NOBODY)
    assert isinstance(scope, Scope)
    if scope.across_tenants:
        return
    for name in sorted(reading.tables & protected.keys()):
        if not any(scope.names(setting) for setting in protected[name]):
            whose = {TENANT: "tenant", USER: "user"}
            words = " or ".join(whose.get(setting, setting) for setting in protected[name])
            raise UnscopedError(
                f"{name} belongs to a {words}, and the session does not say which",
                hint=f"open it with db.session({words.split(' or ')[0]}=...); where all rows that"
                " the role's policies allow are meant: across_tenants=True",
            )


def _words(statement: str) -> Iterator[str]:
    """Yield names (lower-case, quotes off) and marks; comments and literals are left out."""
    for token in _TOKEN.finditer(statement):
        if token.lastgroup == "name":
            name = token["name"]
            yield name[1:-1].replace('""', '"').lower() if name[0] == '"' else name.lower()
        elif token.lastgroup == "mark":
            yield token["mark"]
        elif token["text"] is not None:
            yield "''"


def _tables(words: list[str]) -> Iterator[str]:
    """Yield what stands where a table may stand: after FROM, JOIN, INTO, and commas of a FROM."""
    wanted, listed, depths = False, False, list[bool]()
    for position, word in enumerate(words):
        if word in _OPENS_LIST:
            wanted, listed = True, word in ("from", "using")
        elif word == "(":
            depths.append(listed)
            listed = False
        elif word == ")":
            wanted, listed = False, depths.pop() if depths else False
        elif word == ",":
            wanted = listed
        elif word in _CLOSES_LIST:
            wanted = listed = False
        elif wanted and word not in _STAYS and word != "''":
            if words[position + 1 : position + 2] == ["."]:
                continue  # a schema
            if word != ".":
                wanted = False
                yield word


def _sets_scope(words: list[str], statement: str) -> bool:
    names = [name.partition(".")[2] for name in SETTINGS]
    if not any(name in statement.lower() for name in names):
        return False
    if "set_config" in words:
        return True
    return any(
        word in ("set", "reset") and words[position + 1 :][:6].count("app") > 0
        for position, word in enumerate(words)
        if position == 0 or words[position - 1] == ";"
    )


def _ends(words: list[str]) -> str:
    for position, word in enumerate(words):
        if word in _ENDS and (position == 0 or words[position - 1] == ";"):
            following = words[position + 1 : position + 3]
            harmless = (
                (word == "rollback" and "to" in following)
                or (word == "prepare" and following[:1] != ["transaction"])
                or (word == "start" and following[:1] != ["transaction"])
            )
            if not harmless:
                return word
    return ""


def _flat(parameters: Any) -> Iterator[Any]:
    """Yield every value of a statement's parameters, of one execution or of many."""
    if isinstance(parameters, Mapping):
        yield from cast("Mapping[str, Any]", parameters).values()
    elif isinstance(parameters, (list, tuple)):
        for parameter in cast("Sequence[Any]", parameters):
            yield from _flat(parameter)
    else:
        yield parameters
