"""What an operation costs the running system. Known before it runs (hard rule 3)."""

from __future__ import annotations

from pgstead.model.address import Resource
from pgstead.model.keys import KeyRing
from pgstead.model.operation import Impact
from pgstead.model.resources import (
    BackupKey,
    Certificate,
    Cluster,
    ConfigFile,
    Database,
    PoolerSetting,
    ReplicationSlot,
    Role,
    Schema,
    SecretFile,
    ServerProcess,
    Setting,
)

Verdict = tuple[Impact, bool, str]  # impact, reversible, note


def of(before: Resource | None, after: Resource | None) -> Verdict:
    """Return the impact of a change, whether it can be reversed, and what to know."""
    if before is None and after is not None:
        return _create(after)
    if after is None and before is not None:
        return _drop(before)
    assert before is not None
    assert after is not None
    return _alter(before, after)


def _create(after: Resource) -> Verdict:
    match after:
        case Cluster():
            return Impact.ONLINE, False, "initdb"
        case SecretFile() | Certificate() | KeyRing() | BackupKey():
            return Impact.ONLINE, False, "generated"
        case ConfigFile():
            return Impact.RELOAD, True, ""
        case _:
            return Impact.ONLINE, True, ""


def _drop(before: Resource) -> Verdict:
    match before:
        case Database() | Schema() | Cluster():
            return Impact.DESTRUCTIVE, False, "its data would be lost"
        case SecretFile() | Certificate() | KeyRing() | BackupKey():
            return Impact.ONLINE, False, ""
        case ServerProcess():
            return Impact.ONLINE, True, "no longer in the manifest"
        case Setting():
            return _setting(before), True, "no longer in the manifest"
        case _:
            return Impact.ONLINE, True, ""


def _setting(setting: Setting) -> Impact:
    return Impact.RESTART if setting.context == "postmaster" else Impact.RELOAD


def _alter(before: Resource, after: Resource) -> Verdict:
    match before, after:
        case Setting(), Setting():
            return _setting(after), True, ""
        case PoolerSetting(), PoolerSetting():
            return (Impact.RELOAD if after.reloadable else Impact.RESTART), True, ""
        case ConfigFile(), ConfigFile():
            return Impact.RELOAD, True, ""
        case ServerProcess(), ServerProcess():
            return _process(before, after)
        case Certificate(), Certificate():
            return Impact.RELOAD, False, "renewed"
        case KeyRing(lost=True), KeyRing():
            return Impact.DESTRUCTIVE, False, "new keys open nothing that is stored"
        case ReplicationSlot(lost=True), ReplicationSlot():
            return Impact.ONLINE, False, "WAL was lost: a new base backup is needed"
        case (SecretFile(), SecretFile()) | (KeyRing(), KeyRing()):
            return Impact.ONLINE, False, ""
        case Role(), Role():
            return Impact.ONLINE, before.password is after.password, ""
        case Database(), Database():
            return _database(before, after)
        case Cluster(), Cluster():
            return Impact.DESTRUCTIVE, False, "a data directory cannot be altered in place"
        case _:
            return Impact.ONLINE, True, ""


def _process(before: ServerProcess, after: ServerProcess) -> Verdict:
    if before.running and after.running:
        return Impact.RESTART, True, "its command changed"
    return Impact.ONLINE, True, "it is not running" if after.running else ""


def _database(before: Database, after: Database) -> Verdict:
    fixed = ("encoding", "locale_provider", "locale")
    if any(getattr(before, f) != getattr(after, f) for f in fixed):
        return Impact.DESTRUCTIVE, False, "what CREATE DATABASE fixed cannot be altered in place"
    return Impact.ONLINE, True, ""
