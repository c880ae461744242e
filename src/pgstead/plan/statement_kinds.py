"""What a statement does, by its syntax tree, and its text without what was written into it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import postgast

from pgstead.model.audit import Kind

_LONGEST = 4000  # characters that a statement keeps in the trail
_REMEMBERED = 2048  # texts whose meaning is kept: applications repeat theirs

_ROLES = frozenset({
    "create_role_stmt", "alter_role_stmt", "alter_role_set_stmt", "drop_role_stmt", "grant_stmt",
    "grant_role_stmt", "alter_default_privileges_stmt", "drop_owned_stmt", "reassign_owned_stmt",
})  # fmt: skip
_WRITES = frozenset({
    "insert_stmt", "update_stmt", "delete_stmt", "merge_stmt", "truncate_stmt",
})  # fmt: skip
_CODE = frozenset({"do_stmt", "call_stmt", "load_stmt", "execute_stmt"})
# They steer the session or the transaction, and touch no data.
_SILENT = frozenset({
    "transaction_stmt", "variable_show_stmt", "discard_stmt", "deallocate_stmt", "fetch_stmt",
    "close_portal_stmt", "listen_stmt", "unlisten_stmt", "notify_stmt", "check_point_stmt",
    "constraints_set_stmt", "vacuum_stmt", "lock_stmt", "prepare_stmt",
})  # fmt: skip
# Functions whose call alone reads nothing that anybody keeps.
_PLAIN = frozenset({
    "set_config", "current_setting", "now", "version", "pg_backend_pid", "pg_is_in_recovery",
    "current_schema", "clock_timestamp", "statement_timestamp", "txid_current", "uuid_v7",
    "gen_random_uuid", "pg_current_xact_id_if_assigned", "pg_postmaster_start_time", "random",
})  # fmt: skip
_WEIGHT = (Kind.READ, Kind.FUNCTION, Kind.CODE, Kind.WRITE, Kind.DDL, Kind.ROLE)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a text does: its gravest statement, and all tables that it names. None: nothing."""

    kind: Kind | None
    objects: tuple[str, ...] = ()
    settings: tuple[tuple[str, str, bool], ...] = ()  # name, value, for the transaction alone


@lru_cache(maxsize=_REMEMBERED)
def meaning(text: str) -> Meaning:
    """Return what a text does. One that cannot be read may have done anything."""
    try:
        tree: Any = postgast.parse(text)
    except postgast.PgQueryError:
        return Meaning(Kind.CODE)
    found = [_of(raw.stmt) for raw in tree.stmts]
    kinds = [m.kind for m in found if m.kind is not None]
    kind = max(kinds, key=_WEIGHT.index) if kinds else None
    objects = dict.fromkeys(o for m in found for o in m.objects)
    return Meaning(kind, tuple(objects), tuple(s for m in found for s in m.settings))


def _of(statement: Any) -> Meaning:
    node: str = statement.WhichOneof("node") or ""
    inner = getattr(statement, node)
    tables = tuple(_tables(statement))
    match node:
        case "select_stmt":
            return _query(statement, tables)
        case "explain_stmt":
            below = _of(inner.query)
            ran = any(o.def_elem.defname == "analyze" for o in inner.options)
            return below if ran else Meaning(Kind.READ if below.objects else None, below.objects)
        case "copy_stmt":
            return Meaning(Kind.WRITE if inner.is_from else Kind.READ, tables)
        case "variable_set_stmt":
            return _set(inner)
        case _ if node in _SILENT:
            return Meaning(None)
        case _ if node in _ROLES:
            return Meaning(Kind.ROLE, tables)
        case _ if node in _WRITES:
            return Meaning(Kind.WRITE, tables)
        case _ if node in _CODE:
            return Meaning(Kind.CODE, tables)
        case _:
            named = tables or (tuple(_dropped(inner)) if node == "drop_stmt" else ())
            return Meaning(Kind.DDL, named)


def _query(statement: Any, tables: tuple[str, ...]) -> Meaning:
    below = {type(n).__name__ for n in _nodes(statement)}
    writes = below & {"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"}
    if writes:
        return Meaning(Kind.WRITE, tables)
    if statement.select_stmt.HasField("into_clause"):
        return Meaning(Kind.DDL, tables)
    calls = [n for n in _nodes(statement) if type(n).__name__ == "FuncCall"]
    settings = tuple(s for call in calls if (s := _config(call)) is not None)
    if tables:
        return Meaning(Kind.READ, tables, settings)
    names = dict.fromkeys(".".join(p.string.sval for p in call.funcname) for call in calls)
    told = tuple(n for n in names if n.removeprefix("pg_catalog.") not in _PLAIN)
    return Meaning(Kind.FUNCTION if told else None, told, settings)


def _config(call: Any) -> tuple[str, str, bool] | None:
    """Return what a call of set_config sets, where its arguments are constants."""
    if not call.funcname or call.funcname[-1].string.sval != "set_config" or len(call.args) != 3:
        return None
    name, value, local = (arg.a_const for arg in call.args)
    if not name.HasField("sval"):
        return None
    return name.sval.sval, value.sval.sval, bool(local.boolval.boolval)


def _set(inner: Any) -> Meaning:
    values = [a.a_const.sval.sval for a in inner.args if a.WhichOneof("node") == "a_const"]
    if inner.name in {"role", "session_authorization"}:
        return Meaning(Kind.ROLE, tuple(values))
    if inner.name.startswith("app.") and len(values) == 1:
        return Meaning(None, (), ((inner.name, values[0], bool(inner.is_local)),))
    return Meaning(None)


def _tables(statement: Any) -> Iterator[str]:
    named = {n.ctename for n in _nodes(statement) if type(n).__name__ == "CommonTableExpr"}
    for node in _nodes(statement):
        if type(node).__name__ != "RangeVar" or not node.relname:
            continue
        if node.schemaname or node.relname not in named:
            schema = node.schemaname or "public"
            yield node.relname if schema == "public" else f"{schema}.{node.relname}"


def _dropped(inner: Any) -> Iterator[str]:
    """Yield the names of DROP, which are lists of strings."""
    for node in _nodes(inner):
        if type(node).__name__ == "List":
            parts = [i.string.sval for i in node.items if i.WhichOneof("node") == "string"]
            if parts:
                yield ".".join(parts[1:] if parts[0] == "public" and len(parts) > 1 else parts)


def _nodes(node: Any) -> Iterator[Any]:
    return (found for _, found in postgast.walk(node))


@lru_cache(maxsize=_REMEMBERED)
def masked(text: str) -> str:
    """Return a text with `?` for each literal: what was written into it may be somebody's data.

    Also where the grammar would not take it: the scanner goes as far as tokens go.
    """
    try:
        tokens: Any = postgast.scan(text)
    except postgast.PgQueryError:
        return f"(a text of {len(text)} characters that cannot be read)"
    schema = meaning(text).kind in {Kind.DDL, Kind.ROLE}
    kinds = tokens.DESCRIPTOR.fields_by_name["tokens"].message_type.fields_by_name["token"]
    hidden = {"SCONST", "USCONST", "BCONST", "XCONST", "C_COMMENT", "SQL_COMMENT"}
    if not schema:  # there numbers are sizes: varchar(20)
        hidden |= {"ICONST", "FCONST"}
    data = text.encode()
    parts, at = list[bytes](), 0
    for token in tokens.tokens:
        if kinds.enum_type.values_by_number[token.token].name in hidden:
            parts += [data[at : token.start], b"?"]
            at = token.end
    whole = b"".join([*parts, data[at:]]).decode(errors="replace")
    told = " ".join(whole.split())
    return told if len(told) <= _LONGEST else told[: _LONGEST - 1] + "…"
