"""The table: the fault of each rule, and whether it is done to a stead or only told to the rules.

tests/architecture/test_alert_faults.py sees that every rule is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from tests.fix_stead import LiveStead
from tests.live.alerts import faults, storage_faults, upkeep_faults
from tests.live.alerts.driven import Limits, names_of

Rise = float | Callable[[LiveStead], float]
_NONE: Mapping[str, tuple[float, float]] = MappingProxyType({})


class How(StrEnum):
    """Where the samples come from that a rule fires on."""

    REAL = "a fault on a running stead"
    STORED = "samples of a running stead, altered in its store"


@dataclass(frozen=True)
class Fault:
    """What makes rules fire, done and undone."""

    does: Callable[[LiveStead], AbstractContextManager[None]]
    rules: tuple[str, ...]
    limits: Limits = field(default_factory=lambda: _NONE)
    rises: Mapping[str, Rise] = field(default_factory=dict[str, Rise])  # limits above what is
    how: How = How.REAL


def _stopped(program: str) -> Callable[[LiveStead], AbstractContextManager[None]]:
    return lambda stead: faults.stopped(stead, program)


# Side by side, on one stead, in every run of the suite.
TOGETHER: tuple[Fault, ...] = (
    # the first: it waits for the snapshots of all others
    Fault(faults.invalid_index, ("IndexInvalid",)),
    # before one that takes the logins of the administrator, who looks
    Fault(upkeep_faults.orphan, ("DataDamaged",)),
    Fault(faults.idle, (*names_of("idle_in_transaction"), *names_of("transaction_age"))),
    Fault(faults.blocked, (*names_of("blocked"), *names_of("statement_age"))),
    Fault(faults.prepared, names_of("prepared_transactions")),
    Fault(faults.many_locks, names_of("lock_table")),
    Fault(faults.slot, (*names_of("slot_inactive"), *names_of("slot_retained"))),
    Fault(faults.pending, names_of("pending_restart")),
    Fault(faults.plaintext, names_of("plaintext_sessions")),
    Fault(faults.sequence, ("SequenceEnds", "SequenceEndsCritical")),
    Fault(upkeep_faults.failing_rebuild, ("UpkeepFailing",)),
    Fault(faults.many_clients, names_of("pooler_clients"), rises={"pooler_clients": 0.04}),
)
# What nobody knew has to be known again: in every run, too.
UNKNOWN = Fault(faults.unprivileged, ("ChecksUnknown",))
# What happened in a span is over when that has passed.
COUNTED: tuple[Fault, ...] = (
    Fault(faults.rollbacks, ("RollbackRate",)),
    Fault(faults.deadlocks, ("Deadlocks", "DeadlocksCritical")),
    Fault(faults.checkpoints, ("CheckpointsRequested",)),
    Fault(faults.spilling, ("TemporaryFiles",)),
    Fault(faults.refusals, ("AccessDenied", "LoginsRefused")),
)
# One after the other: what they stop others need, or it takes long.
ALONE: tuple[Fault, ...] = (
    Fault(upkeep_faults.growth, ("CapacityEnds", "CapacityEndsCritical")),
    Fault(_stopped("pgbouncer"), ("PoolerDown",)),
    Fault(_stopped("postgres"), ("ServerDown",)),
    Fault(faults.crash, ("CrashRecovered",)),
    Fault(faults.slow_probe, names_of("probe")),
    Fault(faults.many_sessions, names_of("connections"), rises={"connections": 0.1}),
    Fault(faults.full_pool, names_of("pool_wait")),
    Fault(faults.little_kept_for_slots, ("SlotLosesWal",)),
    Fault(
        storage_faults.silent_receiver, names_of("replication_lag"),
        rises={"replication_lag": 32 * 1024.0**2},
    ),
    Fault(
        storage_faults.failing_archive, ("ArchiverFailing", *names_of("archive_queue")),
        limits={"archive_queue": (1.0, 3.0)},
    ),
    Fault(
        storage_faults.used_up_transactions, names_of("freeze_age"),
        rises={"freeze_age": storage_faults.TRANSACTIONS},
    ),
    Fault(
        storage_faults.used_up_multixacts, names_of("multixact_age"),
        rises={"multixact_age": storage_faults.TRANSACTIONS},
    ),
    # the rule's own limit takes fifty million transactions
    Fault(
        storage_faults.old_snapshot, ("VacuumHeldBack",),
        rises={"VacuumHeldBack": storage_faults.TRANSACTIONS},
    ),
    Fault(storage_faults.damaged_page, ("ChecksumFailure",)),
    Fault(storage_faults.full_disk, names_of("disk"), rises={"disk": storage_faults.DISK}),
    Fault(storage_faults.many_files, names_of("inodes"), rises={"inodes": storage_faults.inodes}),
    Fault(storage_faults.full_memory, names_of("memory"), rises={"memory": storage_faults.MEMORY}),
    Fault(storage_faults.short_certificate, names_of("certificate")),
    Fault(
        storage_faults.no_backup, names_of("backup_age"), limits={"backup_age": (15.0, 20.0)},
    ),
    Fault(storage_faults.no_drill, names_of("drill_age"), limits={"drill_age": (15.0, 20.0)}),
    Fault(storage_faults.locked_samples, ("SamplesStale",)),
)  # fmt: skip
EVERY: tuple[Fault, ...] = (*TOGETHER, UNKNOWN, *COUNTED, *ALONE)
