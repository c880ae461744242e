"""A design with its files: what `design` decided, written out. Pure; touches no disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pgstead.model.address import Resource
from pgstead.model.design import Design
from pgstead.model.resources import (
    BackupFile,
    ConfigFile,
    ConnectionFile,
    Password,
    PoolerFile,
    Role,
    SecretFile,
    ServerProcess,
)
from pgstead.render import barman_conf, connection, pg_hba, pgbouncer_ini, postgresql_conf

USERLIST = "pooler/userlist.txt"
PASSFILES = "passfiles/"


def attach(design: Design) -> Design:
    """Return the design with its files, derived secrets and processes among the wanted."""
    wanted = design.stead.putting(*_files(design), *_secrets(design), *_processes(design))
    return replace(design, stead=wanted)


def _files(design: Design) -> Iterator[Resource]:
    yield ConfigFile("server/pgstead.conf", postgresql_conf.text(design), 0o600)
    yield ConfigFile("server/pg_hba.conf", pg_hba.text(design), 0o600)
    yield ConfigFile("server/pg_ident.conf", pg_hba.ident(design), 0o600)
    if design.backup is not None:
        yield BackupFile("backup/barman.conf", barman_conf.text(design, design.backup), 0o600)
    if design.pooler is not None:
        yield PoolerFile("pooler/pgbouncer.ini", pgbouncer_ini.text(design), 0o600)
    if design.pooler_hba:
        yield PoolerFile("pooler/pg_hba.conf", pg_hba.pooler_text(design), 0o600)
    for database in design.databases:
        name = f"connections/{database.name}.json"
        yield ConnectionFile(name, connection.text(design, database), 0o644)


def _secrets(design: Design) -> Iterator[Resource]:
    """Yield the files that repeat a password in another program's format."""
    for role in design.stead.all(Role):
        if role.login and role.password is Password.MATCHES:
            yield SecretFile(f"{PASSFILES}{role.name}", 0o600)
    if design.pooler is not None:
        yield SecretFile(USERLIST, 0o600)


def _processes(design: Design) -> Iterator[Resource]:
    for program in design.programs:
        yield ServerProcess(program.name, running=True, program=program.digest)
