"""Drift between a database and its migrations: found, named, explained, with no rights at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import psycopg
import pytest
from psycopg import sql

from pgstead.model.definition import Definition
from pgstead.observe.definition import definition
from pgstead.plan.drift import Drift, drifts
from tests.live.migrate.planted import PLANTED, SCHEMA, Planted
from tests.live.scratch import NASTY, Scratch

NOBODY = "drift_nobody"  # may connect, and nothing else


@dataclass
class Plain:
    """A database as its migrations made it, and copies of it."""

    scratch: Scratch
    wanted: Definition

    def look(self, database: str) -> Definition:
        """Read the definition of a database as somebody who may only connect."""
        with psycopg.connect(
            host="127.0.0.1",
            port=self.scratch.port,
            dbname=database,
            user=NOBODY,
            password=NASTY,
            sslmode="verify-full",
            sslrootcert=str(self.scratch.ca),
            options="-c lock_timeout=5s",
        ) as connection:
            connection.rollback()
            return definition(connection, connection.info.server_version // 10000)

    def after(self, statement: str, name: str) -> tuple[Drift, ...]:
        """Return how a copy differs in which a statement was run."""
        target = sql.Identifier(name)
        with self.scratch.admin() as admin:
            admin.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE drift STRATEGY file_copy").format(target)
            )
            try:
                with self.scratch.admin(name) as there:
                    there.execute(statement.replace("{database}", name).encode())
                return drifts(self.wanted, self.look(name))
            finally:
                admin.execute(sql.SQL("DROP DATABASE {}").format(target))


@pytest.fixture(scope="module")
def plain(scratch: Scratch) -> Iterator[Plain]:
    with scratch.admin() as admin:
        admin.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(NOBODY), NASTY)
        )
        admin.execute("CREATE DATABASE drift")
    with scratch.admin("drift") as there:
        there.execute(SCHEMA)
    made = Plain(scratch, Definition({}))
    made.wanted = made.look("drift")
    yield made
    with scratch.admin() as admin:
        admin.execute("DROP DATABASE drift")
        admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(NOBODY)))
        admin.execute("DROP ROLE drift_other")


_NAMES = (f"drift_{number}" for number in count())


def test_a_copy_differs_in_nothing(plain: Plain) -> None:
    assert plain.after("SELECT 1", next(_NAMES)) == ()


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.statement[:60])
def test_planted_drift_is_named_and_explained(plain: Plain, planted: Planted) -> None:
    found = plain.after(planted.statement, next(_NAMES))
    told = {str(drift.object): drift for drift in found}
    assert planted.object in told, told
    drift = told[planted.object]
    assert drift.how == planted.how
    if planted.facet:
        assert planted.facet in {difference.facet for difference in drift.differences}
    assert drift.meaning
    assert drift.way_out


def test_looking_takes_no_lock_that_could_stop_anybody(plain: Plain) -> None:
    with plain.scratch.admin("drift") as holder, holder.transaction():
        # beside EXCLUSIVE nothing is granted but ACCESS SHARE
        holder.execute("LOCK TABLE member, team IN EXCLUSIVE MODE")
        assert drifts(plain.wanted, plain.look("drift")) == ()
