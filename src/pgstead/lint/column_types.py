"""Types of columns: which changes are free, and which expressions a server writes rows for."""

from __future__ import annotations

from dataclasses import dataclass

from pgstead.lint.tree import Node, dotted

# What a new column's default may call without each row being written: the value is the same for
# all rows of the statement. Everything else is taken for volatile, as is any function of yours.
_SAME_FOR_ALL_ROWS = frozenset(
    {
        *("now", "transaction_timestamp", "statement_timestamp", "timezone", "date_trunc"),
        *("lower", "upper", "trim", "concat", "format", "md5", "sha256", "repeat", "length"),
        *("to_char", "to_date", "to_timestamp", "make_date", "make_interval", "make_timestamptz"),
        *("jsonb_build_object", "jsonb_build_array", "json_build_object", "to_jsonb", "array_fill"),
        *("int4range", "int8range", "numrange", "tsrange", "tstzrange", "daterange", "point"),
        *("current_setting", "current_database", "set_masklen", "to_tsvector", "abs", "decode"),
    }
)

SERIALS = frozenset(
    {"serial", "bigserial", "smallserial", "serial2", "serial4", "serial8"}
)  # nextval() as default


@dataclass(frozen=True, slots=True)
class Type:
    """A type with its modifiers: `varchar(80)`."""

    name: str
    modifiers: tuple[int, ...] = ()
    array: bool = False

    def __str__(self) -> str:
        """Return it as SQL writes it."""
        told = f"({','.join(map(str, self.modifiers))})" if self.modifiers else ""
        return f"{self.name}{told}{'[]' if self.array else ''}"


def type_of(node: Node | None) -> Type | None:
    """Return the type that a TypeName names."""
    if node is None:
        return None
    modifiers = tuple(_integer(each) for each in node.all("typmods"))
    return Type(dotted(node.names("names")), modifiers, bool(node.all("array_bounds")))


def _integer(node: Node) -> int:
    value = node.one("ival") if node.kind == "A_Const" else None
    return value.number("ival") if value is not None else 0


def free(old: Type | None, new: Type | None) -> bool:
    """Say whether a change of type leaves rows and indexes as they are.

    Binary coercible, and no narrower
    (https://www.postgresql.org/docs/current/sql-altertable.html, Notes).
    """
    if old is None or new is None or old.array != new.array:
        return False
    match old.name, new.name:
        case ("varchar" | "text", "text") | ("text", "varchar"):
            return not new.modifiers
        case ("cidr", "inet"):
            return True
        case ("numeric", "numeric"):
            return not new.modifiers or _wider_number(old.modifiers, new.modifiers)
        case (before, after) if before == after:
            return _wider(old.modifiers, new.modifiers, growable=before in _GROWABLE)
        case _:
            return False


_GROWABLE = frozenset(
    {"varchar", "varbit", "timestamp", "timestamptz", "time", "timetz", "interval"}
)


def _wider(old: tuple[int, ...], new: tuple[int, ...], *, growable: bool) -> bool:
    if old == new:
        return True
    return growable and (not new or (bool(old) and old[-1] <= new[-1]))


def _wider_number(old: tuple[int, ...], new: tuple[int, ...]) -> bool:
    scales = tuple(m[1] if len(m) > 1 else 0 for m in (old, new))
    return bool(old) and old[0] <= new[0] and scales[0] == scales[1]


def volatile_call(expression: Node | None) -> str:
    """Return the function of an expression for which each row would be written, or nothing."""
    if expression is None:
        return ""
    for call in expression.find("FuncCall"):
        name = dotted(call.names("funcname"))
        if name not in _SAME_FOR_ALL_ROWS:
            return f"{name}()"
    return ""
