"""take(design, ports): what is there now, as the same type as what is wanted."""

from __future__ import annotations

from collections.abc import Iterator

from pgstead.errors import NotRunningError
from pgstead.model.address import Kind, Resource
from pgstead.model.design import Design
from pgstead.model.resources import Cluster, Database, PoolerSetting
from pgstead.model.stead import Stead
from pgstead.observe import (
    audit,
    audited_tables,
    backup,
    databases,
    keys,
    local,
    pooler,
    roles,
    schema,
    server,
)
from pgstead.observe.reading import Reading
from pgstead.ports import Ports

_SILENT = "the server does not answer"
_ENDED = "the server ended while it was looked at"
SERVER_KINDS = (
    Kind.SETTING,
    Kind.OVERRIDE,
    Kind.ROLE,
    Kind.MEMBERSHIP,
    Kind.DATABASE,
    Kind.ROLE_SETTING,
    Kind.SCHEMA,
    Kind.EXTENSION,
    Kind.ROUTINE,
    Kind.DEFAULT_PRIVILEGE,
    Kind.GRANT,
    Kind.REVISION,
    Kind.CHANGE_HISTORY,
    Kind.AUDITED_TABLES,
    Kind.SLOT,
)


def take(design: Design, ports: Ports) -> Stead:
    """Observe everything that the design speaks of.

    Raises ForeignStateError or CertificateError where going on would be wrong; what merely
    cannot be seen (the server is down) becomes `unseen`.
    """
    found: list[Resource] = [*local.resources(design, ports), *backup.resources(ports)]
    unseen: dict[str, str] = {}
    without_keys = keys.missing(design, ports)
    why = "" if ports.sql.answers() else _SILENT
    try:
        found += _on_the_server(design, ports, without_keys) if not why else ()
    except NotRunningError:
        why = _ENDED
    if why:
        unseen |= {str(kind): why for kind in SERVER_KINDS}
        if any(isinstance(resource, Cluster) for resource in found):
            # whether values need them cannot be seen
            unseen |= {f"{Kind.KEY_RING}:{database}": why for database in without_keys}
    if any(True for _ in design.stead.all(PoolerSetting)):
        try:
            found += pooler.resources(design, ports.console)
        except NotRunningError:
            unseen[str(Kind.POOLER_SETTING)] = "the pooler does not answer"
    return Stead.of(found, unseen)


def _on_the_server(
    design: Design, ports: Ports, without_keys: tuple[str, ...]
) -> tuple[Resource, ...]:
    """Return all of it, or raise NotRunningError: a part would be taken for the whole."""
    with Reading(ports.sql, design.build.major) as reading:
        lost = keys.lost(without_keys, reading)
        return (*_answered(design, reading, ports), *lost)


def _answered(design: Design, reading: Reading, ports: Ports) -> Iterator[Resource]:
    yield from server.resources(design, reading)
    yield from roles.resources(design, reading, ports.secrets)
    yield from backup.grants(design, reading)
    yield from backup.slots(design, reading)
    there = list(databases.resources(design, reading))
    yield from there
    for database in (d.name for d in there if isinstance(d, Database)):
        yield from databases.inside(design, reading, database)
        yield from schema.resources(reading, database)
        yield from audit.histories(design, reading, database)
        yield from audited_tables.resources(design, reading, database)
