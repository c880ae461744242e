"""Revisions of a migration history as values: what each would execute, and from which line."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Statement:
    """One SQL text that a revision hands to the server."""

    text: str
    lines: tuple[int, ...]  # of the revision's file, the innermost call first; empty: unknown
    transactional: bool  # False inside of `autocommit_block()`
    transaction: int = 0  # which one of the revision, where it is in one
    staged: bool = False  # `pgstead.app.staged` asked for it, which can be run again


@dataclass(frozen=True, slots=True)
class Direction:
    """One direction of a revision."""

    statements: tuple[Statement, ...] = ()
    problem: str = ""  # why it could not be written without a server; what came before is kept
    line: int = 0  # where that was


@dataclass(frozen=True, slots=True)
class RevisionScript:
    """A revision with both directions written out."""

    name: str
    parents: tuple[str, ...]
    file: str  # as it is shown to people
    source: str
    upgrade: Direction
    downgrade: Direction


@dataclass(frozen=True, slots=True)
class TableSize:
    """How large a table of the target is, by the planner's figures."""

    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Remark:
    """What squawk says about one place of a file."""

    file: str  # the name that it was handed
    line: int  # from 0
    rule: str
    message: str
    advice: str
