"""What the server refuses, as the engine's errors tell it, with both drivers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from pgstead.app import errors
from pgstead.app.target import Driver
from tests.live.app.work import USER, address, execute, opened, settings
from tests.live.scratch import Scratch


def test_a_unique_violation_names_constraint_table_and_column(
    scratch: Scratch, driver: Driver
) -> None:
    with pytest.raises(errors.UniqueError) as caught:
        execute(settings(scratch, driver), USER, USER, email=address())
    assert caught.value.violation == errors.Violation(
        "23505", "users_email_key", "users", ("email",)
    )
    assert "@" not in str(caught.value)


def test_a_unique_violation_of_several_columns_names_them_all(
    scratch: Scratch, driver: Driver
) -> None:
    version = (
        "INSERT INTO document_versions (project_id, document_type, version, content, created_by)"
        " SELECT p.id, 'plan', 1, 'x', created_by FROM projects p JOIN users u"
        " ON u.id = created_by WHERE email = :email"
    )
    project = (
        "INSERT INTO projects (name, created_by) SELECT 'P', id FROM users WHERE email = :email"
    )
    with pytest.raises(errors.UniqueError) as caught:
        execute(settings(scratch, driver), USER, project, version, version, email=address())
    assert caught.value.violation.columns == ("project_id", "document_type", "version")


@pytest.mark.parametrize(
    ("statement", "kind", "constraint", "columns"),
    [
        (
            "SELECT sign_up('x')",
            errors.CheckError,
            "users_email_check",
            ("email",),
        ),
        (
            "INSERT INTO projects (name, created_by) SELECT 'P', act_as(uuid_v7())",
            errors.ForeignKeyError,
            "projects_created_by_fkey",
            ("created_by",),
        ),
        (
            "SELECT sign_up('n@example.com', NULL)",
            errors.NotNullError,
            "",
            ("name",),
        ),
    ],
)
def test_a_violation_is_of_its_own_type(
    scratch: Scratch,
    driver: Driver,
    statement: str,
    kind: type[errors.ConstraintError],
    constraint: str,
    columns: tuple[str, ...],
) -> None:
    with pytest.raises(kind) as caught:
        execute(settings(scratch, driver), statement)
    assert type(caught.value) is kind
    assert caught.value.violation.constraint == constraint
    assert caught.value.violation.columns == columns
    assert caught.value.hint


def test_a_row_that_others_point_at_is_still_referenced(scratch: Scratch, driver: Driver) -> None:
    project = (
        "INSERT INTO projects (name, created_by) SELECT 'P', id FROM users WHERE email = :email"
    )
    with pytest.raises(errors.StillReferencedError):
        execute(
            settings(scratch, driver),
            USER,
            project,
            "DELETE FROM users WHERE email = :email",
            email=address(),
        )


def test_a_violated_exclusion_is_named(scratch: Scratch, driver: Driver) -> None:
    table = (
        "CREATE TEMPORARY TABLE rooms (during int4range,"
        " CONSTRAINT one_at_a_time EXCLUDE USING gist (during WITH &&))"
    )
    insert = "INSERT INTO rooms VALUES ('[1,5)')"
    with scratch.admin() as admin:
        admin.execute("GRANT TEMPORARY ON DATABASE jeex_idea TO jeex_idea_app")
    with pytest.raises(errors.ExclusionError, match="one_at_a_time"):
        execute(settings(scratch, driver), table, insert, insert)


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("SELECT 1/0", errors.ValueRefusedError),
        ("SELECT repeat('x', 300)::varchar(255)::int", errors.ValueRefusedError),
        ("UPDATE alembic_version SET version_num = 'x'", errors.AccessDeniedError),
        ("SELECT * FROM no_such_table", errors.SchemaMismatchError),
        ("SET LOCAL statement_timeout = '50ms'; SELECT 1", None),
    ],
)
def test_other_refusals_are_of_their_own_type(
    scratch: Scratch, driver: Driver, statement: str, kind: type[errors.DatabaseError] | None
) -> None:
    if kind is None:
        kind, statements = errors.TooSlowError, ("SET LOCAL statement_timeout = '50ms'", SLEEP)
    else:
        statements = (statement,)
    with pytest.raises(kind) as caught:
        execute(settings(scratch, driver), *statements)
    assert type(caught.value) is kind


SLEEP = "SELECT pg_sleep(2)"


def test_a_lock_that_cannot_be_had_in_time_is_too_slow(scratch: Scratch, driver: Driver) -> None:
    with scratch.admin("jeex_idea") as admin, admin.transaction():
        admin.execute("LOCK TABLE exports")
        with pytest.raises(errors.TooSlowError):
            execute(settings(scratch, driver), "SET LOCAL lock_timeout = '50ms'", "TABLE exports")


def test_a_deadlock_is_to_be_tried_again(scratch: Scratch, driver: Driver) -> None:
    first, second = address(), address()
    touch = "SELECT pg_advisory_xact_lock(hashtext(:email))"

    async def crossed() -> list[Any]:
        async with opened(settings(scratch, driver)) as database:
            met = asyncio.Barrier(2)

            async def one(mine: str, other: str) -> None:
                async with database.transaction() as session:
                    await session.execute(text("SET LOCAL deadlock_timeout = '100ms'"))
                    await session.execute(text(touch), {"email": mine})
                    await met.wait()
                    await session.execute(text(touch), {"email": other})

            both = (one(first, second), one(second, first))
            return list(await asyncio.gather(*both, return_exceptions=True))

    with scratch.admin() as admin:
        admin.execute("GRANT SET ON PARAMETER deadlock_timeout TO jeex_idea_app")
    ended = asyncio.run(crossed())
    assert [type(e) for e in ended if e is not None] == [errors.AgainError]
