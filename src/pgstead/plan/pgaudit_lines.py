"""What pgaudit writes into the server's log (https://github.com/pgaudit/pgaudit, README)."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pgstead.model.audit import Kind

_BEGINS = "AUDIT: "
_FIELDS = 9  # type, statement, substatement, class, command, object type, name, text, parameters
_KINDS: Mapping[str, Kind] = MappingProxyType({
    "READ": Kind.READ, "WRITE": Kind.WRITE, "DDL": Kind.DDL, "ROLE": Kind.ROLE,
    "FUNCTION": Kind.CODE,
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Audited:
    """One line of pgaudit. `key` is the same for all parts of one statement."""

    key: str
    kind: Kind | None  # None: what its text does decides
    text: str
    object: str = ""  # a table of it, which a view may have led to


def read(message: str) -> Audited | None:
    """Return what a message says, None where it is not pgaudit's."""
    if not message.startswith(_BEGINS):
        return None
    fields = next(csv.reader([message.removeprefix(_BEGINS)]))
    if len(fields) < _FIELDS:
        return None
    _, statement, _, group, _, _, name, text, _ = fields[:_FIELDS]
    # a SELECT without a table is READ to pgaudit: most of them set the scope of a transaction
    kind = None if group == "READ" else _KINDS.get(group)
    return Audited(f"pgaudit {statement}", kind, text, name.removeprefix("public."))
