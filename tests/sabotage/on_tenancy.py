"""Sabotages of tenancy: of the policies, and of what lies around them."""

from __future__ import annotations

from collections.abc import Iterator

from pgstead.model.design import Design
from tests.sabotage.damage import sabotage
from tests.sabotage.scene import Scene

POLICY = "tenant_isolation_policy"


def conditions(scene: Scene, table: str, database: str = "") -> tuple[str, str]:
    """Return what a policy says, to be put back."""
    ((using, check),) = scene.rows(
        "SELECT pg_get_expr(polqual, polrelid) AS rows, pg_get_expr(polwithcheck, polrelid) AS new"
        " FROM pg_policy WHERE polname = %s AND polrelid = %s::regclass",
        POLICY,
        table,
        database=database or scene.plan.name,
    )
    return using, check


def altered(scene: Scene, table: str, using: str, check: str) -> tuple[str, ...]:
    """Return what gives both policies of the application other conditions."""
    return tuple(
        f"ALTER POLICY {name} ON {table} USING ({using}) WITH CHECK ({check})"
        for name in (POLICY, f"{POLICY}_floor")
    )


@sabotage("TEN-001")
def row_security_is_not_forced(scene: Scene) -> Iterator[Design | None]:
    """The owner of a table is not bound by its policies."""
    change = "ALTER TABLE exports {} ROW LEVEL SECURITY"
    with scene.done_and_undone(change.format("NO FORCE"), change.format("FORCE")):
        yield None


@sabotage("TEN-002")
def there_is_another_policy(scene: Scene) -> Iterator[Design | None]:
    """Somebody added a policy that lets everybody in; the floor holds."""
    with scene.done_and_undone(
        "CREATE POLICY shared ON projects USING (true)", "DROP POLICY shared ON projects"
    ):
        yield None


@sabotage("TEN-003", also=("ROL-006",))
def everybody_is_somebody(scene: Scene) -> Iterator[Design | None]:
    """A database gives each session a person."""
    name = scene.plan.name
    nobody = "00000000-0000-0000-0000-000000000000"
    with scene.done_and_undone(
        f"ALTER DATABASE {name} SET app.current_user_id = '{nobody}'",
        f"ALTER DATABASE {name} RESET app.current_user_id",
    ):
        scene.reconnect()
        yield None
    scene.reconnect()


@sabotage("TEN-004")
def who_says_nothing_sees_all(scene: Scene) -> Iterator[Design | None]:
    """A policy lets through whoever has not said for whom it asks."""
    using, check = conditions(scene, "exports")
    open_to_nobody = "NULLIF(current_setting('app.current_user_id', true), '') IS NULL"
    with scene.done_and_undone(
        altered(scene, "exports", f"({using}) OR {open_to_nobody}", check),
        altered(scene, "exports", using, check),
    ):
        yield None


@sabotage("TEN-005", also=("TEN-004", "TEN-025"))
def rows_are_everybodys(scene: Scene) -> Iterator[Design | None]:
    """A policy shows all rows; it still refuses to write for others."""
    using, check = conditions(scene, "exports")
    with scene.done_and_undone(
        altered(scene, "exports", "true", check), altered(scene, "exports", using, check)
    ):
        yield None


@sabotage("TEN-006", also=("TEN-004",))
def rows_can_be_written_for_others(scene: Scene) -> Iterator[Design | None]:
    """A policy has lost its WITH CHECK in all but name."""
    using, check = conditions(scene, "exports")
    with scene.done_and_undone(
        altered(scene, "exports", using, "true"), altered(scene, "exports", using, check)
    ):
        yield None


# the administrator writes what is asked about the keys of rows
@sabotage("TEN-007", also=("TEN-002",), blinds=("SCH-009", "SCH-010", "SCH-011"))
def the_administrator_is_shut_out(scene: Scene) -> Iterator[Design | None]:
    """The policy of the administrator is gone."""
    name = f"{POLICY}_admin"
    with scene.done_and_undone(
        f"DROP POLICY {name} ON projects",
        f"CREATE POLICY {name} ON projects TO {scene.plan.admin} USING (true) WITH CHECK (true)",
    ):
        yield None


@sabotage("TEN-020", also=("TEN-021", "ROL-031"))
def tables_can_be_emptied(scene: Scene) -> Iterator[Design | None]:
    """The application may TRUNCATE, which knows no policies."""
    app = scene.plan.app
    with scene.done_and_undone(
        f"GRANT TRUNCATE ON exports TO {app}", f"REVOKE TRUNCATE ON exports FROM {app}"
    ):
        yield None


@sabotage("TEN-021")
def rows_can_be_told_by_references(scene: Scene) -> Iterator[Design | None]:
    """The application may refer to a protected table, whose check sees all rows."""
    app = scene.plan.app
    with scene.done_and_undone(
        f"GRANT REFERENCES ON projects TO {app}", f"REVOKE REFERENCES ON projects FROM {app}"
    ):
        yield None


@sabotage("TEN-022")
def a_view_shows_all_rows(scene: Scene) -> Iterator[Design | None]:
    """A view of a view asks as its owner, not as who reads it."""
    app = scene.plan.app
    with scene.done_and_undone(
        (
            "CREATE VIEW pgstead.inner_view AS SELECT id FROM public.projects",
            "CREATE VIEW pgstead.outer_view AS SELECT id FROM pgstead.inner_view",
            f"GRANT SELECT ON pgstead.outer_view TO {app}",
        ),
        "DROP VIEW IF EXISTS pgstead.outer_view, pgstead.inner_view",
    ):
        yield None


@sabotage("TEN-023", also=("SCH-004",))
def a_function_shows_all_rows(scene: Scene) -> Iterator[Design | None]:
    """A function with the superuser's rights is the application's to call."""
    app = scene.plan.app
    with scene.done_and_undone(
        (
            """
            CREATE FUNCTION public.all_projects() RETURNS bigint LANGUAGE sql SECURITY DEFINER
            SET search_path = pg_catalog, pg_temp RETURN (SELECT count(*) FROM public.projects)
            """,
            "REVOKE ALL ON FUNCTION public.all_projects() FROM PUBLIC",
            f"ALTER FUNCTION public.all_projects() OWNER TO {scene.design.superuser}",
            f"GRANT EXECUTE ON FUNCTION public.all_projects() TO {app}",
        ),
        "DROP FUNCTION IF EXISTS public.all_projects()",
    ):
        yield None


@sabotage("TEN-024")
def a_partition_stands_open(scene: Scene) -> Iterator[Design | None]:
    """A table inherits from a protected one, and is the application's to read."""
    app = scene.plan.app
    with scene.done_and_undone(
        (
            "CREATE TABLE pgstead.projects_1 () INHERITS (public.projects)",
            f"GRANT SELECT ON pgstead.projects_1 TO {app}",
        ),
        "DROP TABLE IF EXISTS pgstead.projects_1",
    ):
        yield None


@sabotage("TEN-005", also=("TEN-004", "TEN-025"), where="vault_scene")
def a_workspace_is_everybodys(scene: Scene) -> Iterator[Design | None]:
    """A policy shows what belongs to a workspace to who is no member of it."""
    using, check = conditions(scene, "projects", "specgen")
    with scene.done_and_undone(
        altered(scene, "projects", "true", check),
        altered(scene, "projects", using, check),
        database="specgen",
    ):
        yield None


@sabotage("TEN-025", alone=True)
def statistics_are_open(scene: Scene) -> Iterator[Design | None]:
    """Somebody looked for the cause of a plan as the application, and was given what they asked."""
    app = scene.plan.app
    with scene.done_and_undone(
        f"GRANT SELECT ON pg_catalog.pg_statistic TO {app}",
        f"REVOKE SELECT ON pg_catalog.pg_statistic FROM {app}",
    ):
        yield None


@sabotage("TEN-025", alone=True)
def conversions_are_called_leakproof(scene: Scene) -> Iterator[Design | None]:
    """A query was slow under policies, until its functions were said to tell nothing."""
    functions = ("int4in(cstring)", "uuid_out(uuid)", "textin(cstring)", "textout(text)")
    change = "ALTER FUNCTION pg_catalog.{} {} COST {}"
    with scene.done_and_undone(
        tuple(change.format(f, "LEAKPROOF", 0.0001) for f in functions),
        tuple(change.format(f, "NOT LEAKPROOF", 1) for f in functions),
    ):
        yield None


SABOTAGES = (
    statistics_are_open,
    conversions_are_called_leakproof,
    a_workspace_is_everybodys,
    row_security_is_not_forced,
    there_is_another_policy,
    everybody_is_somebody,
    who_says_nothing_sees_all,
    rows_are_everybodys,
    rows_can_be_written_for_others,
    the_administrator_is_shut_out,
    tables_can_be_emptied,
    rows_can_be_told_by_references,
    a_view_shows_all_rows,
    a_function_shows_all_rows,
    a_partition_stands_open,
)
