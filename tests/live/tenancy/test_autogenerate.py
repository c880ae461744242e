"""Row-level security through Alembic's autogenerate: made, compared, dropped, and back."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, MetaData, Table, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from pgstead.app.policies import Policy, PolicyError
from pgstead.app.policy_operations import CreatePolicyOp, DropPolicyOp, SetRowSecurityOp
from pgstead.app.tenancy import POLICY, RowSecurity, TenantScoped, declared
from pgstead.app.views import View
from tests.live.tenancy import models
from tests.live.tenancy.lab import Lab

OURS = (SetRowSecurityOp, CreatePolicyOp, DropPolicyOp)

# partitions are tables that no model names
PARTITIONS = "DROP TABLE readings_0, readings_1"


@pytest.fixture
def owner(lab: Lab) -> Iterator[Connection]:
    """Give a transaction of the migrator that is undone."""
    engine = lab.engine()
    with engine.connect() as connection:
        connection.execute(text(PARTITIONS))
        yield connection
        connection.rollback()
    engine.dispose()


def told(connection: Connection, metadata: MetaData = models.Base.metadata) -> list[Any]:
    """Return what autogenerate says, one tuple each."""
    script = models.differences(connection, metadata)
    assert script.upgrade_ops is not None
    return script.upgrade_ops.as_diffs()


def policies_of(connection: Connection) -> set[Any]:
    """Return all that the catalog has of row-level security."""
    query = """
        SELECT c.relname, c.relrowsecurity, c.relforcerowsecurity, p.polname, p.polpermissive,
               p.polcmd, p.polroles::text, pg_get_expr(p.polqual, c.oid),
               pg_get_expr(p.polwithcheck, c.oid)
        FROM pg_class c LEFT JOIN pg_policy p ON p.polrelid = c.oid
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
    """
    return {tuple(row) for row in connection.execute(text(query))}


def test_what_autogenerate_made_it_finds_no_difference_in(owner: Connection) -> None:
    assert told(owner) == []


DRIFT = [
    "ALTER TABLE accounts DISABLE ROW LEVEL SECURITY",
    "ALTER TABLE accounts NO FORCE ROW LEVEL SECURITY",
    f"DROP POLICY {POLICY} ON accounts",
    f"DROP POLICY {POLICY}_floor ON notes",
    f"ALTER POLICY {POLICY} ON accounts USING (true)",
    f"ALTER POLICY {POLICY} ON accounts WITH CHECK (true)",
    f"ALTER POLICY {POLICY} ON accounts TO PUBLIC",
    f"ALTER POLICY {POLICY} ON accounts TO {models.NAMES['app']}",
    f"ALTER POLICY {POLICY} ON accounts RENAME TO other",
    "CREATE POLICY wide ON accounts USING (true)",
    f'ALTER POLICY {POLICY} ON "Devices of 100%%" USING (n = 0)',
]


@pytest.mark.parametrize("drift", DRIFT)
def test_drift_is_seen_and_put_right_and_can_be_taken_back(owner: Connection, drift: str) -> None:
    wanted = policies_of(owner)
    owner.exec_driver_sql(drift)
    drifted = policies_of(owner)
    script = models.differences(owner)
    assert script.upgrade_ops is not None
    assert script.downgrade_ops is not None
    assert script.upgrade_ops.ops
    assert all(isinstance(operation, OURS) for operation in script.upgrade_ops.ops)
    models.carry_out(owner, script.upgrade_ops)
    assert policies_of(owner) == wanted
    assert told(owner) == []
    models.carry_out(owner, script.downgrade_ops)
    assert policies_of(owner) == drifted


def test_parentheses_that_change_the_meaning_are_a_difference(owner: Connection) -> None:
    table = models.Base.metadata.tables["accounts"]
    mine = next(iter(RowSecurity.by_tenant().policies(table))).using
    narrow, wide = f"({mine} OR id = 1) AND id = 2", f"{mine} OR (id = 1 AND id = 2)"
    owner.exec_driver_sql(f"ALTER POLICY {POLICY} ON accounts USING ({narrow})")
    first = policies_of(owner)
    owner.exec_driver_sql(f"ALTER POLICY {POLICY} ON accounts USING ({wide})")
    assert policies_of(owner) != first
    assert told(owner)


def unprotected() -> MetaData:
    """Return the same tables without any declaration."""
    bare = MetaData()
    for table in models.Base.metadata.sorted_tables:
        table.to_metadata(bare).info = {}
    return bare


def test_down_leaves_nothing_and_up_again_makes_the_same(owner: Connection) -> None:
    before = policies_of(owner)
    empty = models.differences(owner, unprotected())
    assert empty.upgrade_ops is not None
    models.carry_out(owner, empty.upgrade_ops)
    assert {row[1:4] for row in policies_of(owner)} == {(False, False, None)}
    again = models.differences(owner)
    models.carry_out(owner, again.upgrade_ops)
    assert policies_of(owner) == before
    assert told(owner) == []


def test_a_table_that_goes_loses_its_policies_before_and_gets_them_back(owner: Connection) -> None:
    before = policies_of(owner)
    rest = MetaData()
    for table in models.Base.metadata.sorted_tables:
        if table.name != "notes":
            table.to_metadata(rest)
    script = models.differences(owner, rest)
    assert script.upgrade_ops is not None
    assert script.downgrade_ops is not None
    models.carry_out(owner, script.upgrade_ops)
    models.carry_out(owner, script.downgrade_ops)
    assert policies_of(owner) == before


def test_what_is_written_is_python_that_names_what_it_needs(owner: Connection) -> None:
    script = models.differences(owner, unprotected())
    up, down = models.code(script)
    for body in (up, down):
        ast.parse(f"def function():\n    {body}")
    assert "drop_policy" in up
    assert f"'{POLICY}_floor'" in down
    assert "roles=['app', 'readonly']" in down
    assert models.NAMES["app"] not in down  # a migration fits every place


def test_a_role_that_is_not_known_is_told_before_anything_is_made(owner: Connection) -> None:
    policy = Policy("p", "accounts", roles=("app",), using="true")
    context = models.context(owner)
    context.opts["pgstead_roles"] = {}
    with pytest.raises(PolicyError, match="not known what the role for 'app' is called"):
        models.Operations(context).invoke(CreatePolicyOp(policy))


def test_a_declaration_survives_a_copy_of_its_table() -> None:
    table = models.Note.__table__
    assert isinstance(table, Table)
    assert declared(table.to_metadata(MetaData())) == declared(table)


def with_views(*views: tuple[str, str]) -> MetaData:
    """Return the laboratory's tables, with views."""
    metadata = MetaData()
    for table in models.Base.metadata.sorted_tables:
        table.to_metadata(metadata).info = dict(table.info)
    metadata.info["pgstead.views"] = []
    for name, query in views:
        View(name, query, metadata)
    return metadata


def views_of(connection: Connection) -> set[Any]:
    """Return the views that there are."""
    query = """
        SELECT relname, pg_get_viewdef(oid), reloptions::text FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'v'
    """
    return {tuple(row) for row in connection.execute(text(query))}


def test_views_are_made_asking_as_their_reader_compared_and_dropped(owner: Connection) -> None:
    seen, of_it = ("seen", models.OPEN_ORDERS), ("of 100%", "SELECT email FROM seen WHERE id > 1;")
    script = models.differences(owner, with_views(seen, of_it))
    models.carry_out(owner, script.upgrade_ops)
    made = views_of(owner)
    assert {name for name, *_ in made} == {"seen", "of 100%"}
    assert all("security_invoker=true" in options for *_, options in made)
    assert told(owner, with_views(seen, of_it)) == []
    assert told(owner) == []  # a metadata that never declared a view leaves them alone
    owner.exec_driver_sql("ALTER VIEW seen RESET (security_invoker)")
    again = models.differences(owner, with_views(seen))
    up, down = models.code(again)
    assert "create_view('seen'" in up
    assert "invoker=False" in down
    models.carry_out(owner, again.upgrade_ops)
    assert {row for row in made if row[0] == "seen"} == views_of(owner)
    assert told(owner, with_views(seen)) == []
    other = ("seen", f"{models.OPEN_ORDERS} WHERE o.id > 1")
    assert [step[0] for step in told(owner, with_views(other))] == ["drop_view", "create_view"]
    models.carry_out(owner, again.downgrade_ops)
    assert {name for name, *_ in views_of(owner)} == {"seen", "of 100%"}


def test_a_declaration_that_protects_nothing_is_refused() -> None:
    with pytest.raises(PolicyError, match="needs a rule"):
        RowSecurity(())
    with pytest.raises(PolicyError, match="neither USING nor WITH CHECK"):
        Policy("p", "t")
    with pytest.raises(PolicyError, match="is for 'ANY'"):
        Policy("p", "t", command="ANY", using="true")
    with pytest.raises(PolicyError, match="does not name its columns"):
        RowSecurity.by_user("")


def test_a_column_that_the_table_has_not_is_told_with_those_that_it_has() -> None:
    class Base(DeclarativeBase):
        pass

    class Odd(TenantScoped, Base):
        __tablename__ = "odd"
        __table_args__ = (RowSecurity.by_tenant("tenant"),)
        id: Mapped[int] = mapped_column(primary_key=True)

    table = Odd.__table__
    assert isinstance(table, Table)
    found = declared(table)
    assert found is not None
    with pytest.raises(PolicyError, match="goes by tenant, which is no column") as caught:
        list(found.policies(table))
    assert "tenant_id" in caught.value.hint
