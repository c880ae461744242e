"""The gate before production: what was looked at before revisions run, and what is not met."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pgstead.model.rehearsal import Rehearsed


class Condition(StrEnum):
    """What must hold before a revision runs in production (MIG-6)."""

    LINT = "lint"
    REHEARSAL = "rehearsal"
    BACKUP = "backup"
    RESTORE_POINT = "restore point"


@dataclass(frozen=True, slots=True)
class Unproven:
    """What could not be looked at; it counts as not met, and says why."""

    reason: str


@dataclass(frozen=True, slots=True)
class VerifiedBackup:
    """A base backup that was restored and checked."""

    name: str
    ended: datetime  # the end of the backup: what came later is in the archive only


@dataclass(frozen=True, slots=True)
class Ages:
    """How old something may be, in seconds."""

    rehearsal: float
    backup: float


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found of each condition, for the revisions of one database."""

    database: str
    revisions: Mapping[str, str]  # what is to run -> the digest of its text
    refused: tuple[str, ...] | Unproven  # the lint's errors, a line each
    rehearsed: Rehearsed | Unproven | None
    backup: VerifiedBackup | Unproven | None
    restore_point: Unproven | None  # why none can be set; None: one can


@dataclass(frozen=True, slots=True)
class Unmet:
    """A condition that is not met, and what to do about it."""

    condition: Condition
    says: str
    way_out: str
    unproven: bool = False


@dataclass(frozen=True, slots=True)
class Passage:
    """How the revisions of one database came through the gate."""

    database: str
    revisions: tuple[str, ...]  # in the order in which they run
    remark: str  # for the ledger; empty where nothing is to be said
    override: str = ""  # the reason that was given
    skipped: tuple[Unmet, ...] = ()
    restore_point: str = ""  # its name
