"""How a stead is kept up: windows, limits, and the role that may do nothing else (OPS-1)."""

from __future__ import annotations

import math
from collections.abc import Iterator

from pgstead.manifest.document import Manifest
from pgstead.model.address import Resource
from pgstead.model.design import DatabasePlan
from pgstead.model.host import ServerBuild
from pgstead.model.layout import Layout
from pgstead.model.resources import Grant, Membership, Role
from pgstead.model.upkeep import UpkeepPlan

ROLE = "pgstead_upkeep"
# https://www.postgresql.org/docs/17/predefined-roles.html: VACUUM, ANALYZE, REINDEX of every
# table, and no reading of any. Before 17 only a table's owner may.
RIGHTS, _SINCE = "pg_maintain", 17
_SESSIONS_A_CPU = 4


def plan(manifest: Manifest, build: ServerBuild, layout: Layout, cpus: float) -> UpkeepPlan:
    """Return how the stead is kept up, by the agent or by a command."""
    told = manifest.upkeep
    own = build.major >= _SINCE
    given = told.model_dump(exclude={"enabled", "sessions"})
    return UpkeepPlan(
        **given,
        file=str(layout.upkeep),
        role=ROLE if own else "",
        role_rights=RIGHTS if own else "",
        sessions=told.sessions or max(4, math.ceil(_SESSIONS_A_CPU * cpus)),
        automatic=told.enabled,
    )


def resources(plans: tuple[DatabasePlan, ...], found: UpkeepPlan) -> Iterator[Resource]:
    """Yield the role: it cannot log in, the superuser's session becomes it on the 0700 socket."""
    if not found.role:
        return
    yield Role(found.role, purpose="upkeep; cannot log in, and reads no table")
    yield Membership(found.role_rights, found.role)
    for database in plans:
        # a name is looked up in its schema only by who may use that
        yield Grant(database.name, "schema", "public", found.role, ("USAGE",))
