"""Erasures: who was erased when, kept beside the servers, since a restore brings rows back.

A person stands in the list by the key of their row alone. What they were called on the command
line is kept as a salted hash, so that an erasure which was cut off is found again by it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pgstead.model.personal import Name

Named = tuple[Name, Mapping[str, str]]  # the table of a person, and the key of their row

_ROUNDS = 100_000  # an address is guessed fast, and this is asked seldom


@dataclass(frozen=True, slots=True)
class Erasure:
    """One person, erased or about to be."""

    id: str
    at: str  # ISO 8601, UTC: when it began
    database: str
    table: Name
    key: Mapping[str, str]
    salt: str
    called: str  # the hash of what they were called
    finished: str = ""  # ISO 8601, UTC; empty: it was cut off
    rows: Mapping[str, int] = field(default_factory=dict[str, int])
    others: tuple[Named, ...] = ()  # persons of other tables, whose rows go with it
    left: int = 0  # places in which something of them was found afterwards

    def means(self, text: str) -> bool:
        """Say whether it is of the person who is called so."""
        return text in self.key.values() or called(text, self.salt) == self.called


def called(text: str, salt: str) -> str:
    """Return the hash that a person's name is kept as."""
    return hashlib.pbkdf2_hmac("sha256", text.encode(), salt.encode(), _ROUNDS).hex()


def begun(erasure: Erasure) -> dict[str, Any]:
    """Return the line that is written before anything is erased."""
    return {
        "event": "begun", "id": erasure.id, "at": erasure.at, "database": erasure.database,
        "table": list(erasure.table), "key": dict(erasure.key), "salt": erasure.salt,
        "called": erasure.called,
    }  # fmt: skip


def took(erasure: Erasure) -> dict[str, Any]:
    """Return the line that tells of further persons, before their rows go with the erased one's."""
    told = [[list(table), dict(key)] for table, key in erasure.others]
    return {"event": "took", "id": erasure.id, "others": told}


def finished(erasure: Erasure) -> dict[str, Any]:
    """Return the line that is written when it was looked for, and what was found."""
    return {
        "event": "finished", "id": erasure.id, "at": erasure.finished,
        "rows": dict(erasure.rows), "left": erasure.left,
    }  # fmt: skip


def refused(erasure: Erasure) -> dict[str, Any]:
    """Return the line that takes back that one has begun: the server would not have it."""
    return {"event": "refused", "id": erasure.id}


def erasures(lines: Iterable[str]) -> tuple[Erasure, ...]:
    """Read the list, oldest first. A line that was cut off says nothing."""
    found: dict[str, Erasure] = {}
    for told in _told(lines):
        match told.get("event"):
            case "begun":
                schema, name = told["table"]
                found[told["id"]] = Erasure(
                    told["id"], told["at"], told["database"], (schema, name), told["key"],
                    told["salt"], told["called"],
                )  # fmt: skip
            case "took" if told["id"] in found:
                others = tuple(((s, t), key) for (s, t), key in told["others"])
                found[told["id"]] = replace(found[told["id"]], others=others)
            case "finished" if told["id"] in found:
                found[told["id"]] = replace(
                    found[told["id"]],
                    finished=told["at"], rows=told["rows"], left=told["left"],
                )  # fmt: skip
            case "refused":
                found.pop(told["id"], None)
            case _:
                pass
    return tuple(found.values())


def _told(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            told: Any = json.loads(line)
        except ValueError:
            continue
        if isinstance(told, dict):
            yield told
