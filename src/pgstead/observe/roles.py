"""Roles, memberships and the settings bound to roles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pgstead.model import scram
from pgstead.model.address import Resource
from pgstead.model.design import Design
from pgstead.model.resources import Membership, Password, Role, RoleSetting
from pgstead.model.standin import standin_of
from pgstead.observe.reading import Reading
from pgstead.observe.sql_files import query
from pgstead.ports import Ports, Secrets


def resources(design: Design, reading: Reading, secrets: Secrets) -> Iterator[Resource]:
    """Yield the managed roles, every membership that touches one, and every role setting."""
    names = [role.name for role in design.stead.all(Role)]
    for row in reading.rows(query("roles", reading.major), {"names": names}):
        stored = row.pop("stored")
        yield Role(**row, password=_judge(row["name"], stored, secrets))
    # A stand-in belongs to the rotation that made it, which ends it; `up` leaves it alone.
    standins = {standin_of(name) for name in names}
    for row in reading.rows(query("memberships", reading.major), {"names": names}):
        if row["member"] not in standins:
            yield Membership(**row)
    databases = [database.name for database in design.databases]
    values = {"roles": names, "databases": databases}
    for row in reading.rows(query("role_settings", reading.major), values):
        yield _setting(row)


def judged(design: Design, ports: Ports) -> dict[str, Password]:
    """Return what is known of the password of each role that is there."""
    names = [role.name for role in design.stead.all(Role)]
    with ports.sql.connect(read_only=True) as connection:
        rows = connection.execute(query("roles", design.build.major), {"names": names}).fetchall()
    return {row["name"]: _judge(row["name"], row["stored"], ports.secrets) for row in rows}


def _judge(name: str, stored: str, secrets: Secrets) -> Password:
    if not stored:
        return Password.NONE
    if not stored.startswith("SCRAM-SHA-256$"):
        return Password.WEAK
    if secrets.mode(name) is None or not scram.matches(secrets.value(name), stored):
        return Password.DIFFERS
    return Password.MATCHES


def _setting(row: dict[str, Any]) -> RoleSetting:
    return RoleSetting(row["role"], row["database"], row["name"], row["value"])
