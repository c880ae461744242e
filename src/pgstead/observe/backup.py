"""What backups rest on: the repository with its key, and the replication slot."""

from __future__ import annotations

from collections.abc import Iterator

from pgstead.model.address import Resource
from pgstead.model.design import Design
from pgstead.model.resources import Grant, ReplicationSlot
from pgstead.observe.reading import Reading
from pgstead.observe.sql_files import query
from pgstead.ports import Ports

OURS = "pgstead_"  # how the names of our slots begin


def resources(ports: Ports) -> Iterator[Resource]:
    """Yield what lies on the disk."""
    if ports.backup is not None and (found := ports.backup.vault.inspect()) is not None:
        yield found


def grants(design: Design, reading: Reading) -> Iterator[Grant]:
    """Yield the functions of the server itself that the backup role may call."""
    values = {"role": design.backup_role}
    for row in reading.rows(query("backup_grants", reading.major), values):
        privileges = tuple(row["privileges"])
        yield Grant("postgres", "function", row["name"], design.backup_role, privileges)


def slots(design: Design, reading: Reading) -> Iterator[ReplicationSlot]:
    """Yield our replication slots."""
    wanted = {slot.name for slot in design.stead.all(ReplicationSlot)}
    for row in reading.rows(query("slots", reading.major), {"names": list(wanted), "ours": OURS}):
        yield ReplicationSlot(row["name"], row["slot_type"], lost=row["lost"])
