"""Views that ask as who reads them, declared with the models and kept by autogenerate.

    View("open_projects", "SELECT id, name FROM projects WHERE status <> 'archived'", Base.metadata)

A plain view asks as its owner, whose policies are not the reader's. These are made with
`security_invoker` (policies and grants of the reader) and `security_barrier` (no function of the
reader sees a row before the view's own conditions have let it through).

Once a metadata declares views, all of a schema are compared: one that nobody declares is dropped.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, cast

from alembic import op
from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import renderers
from alembic.operations import MigrateOperation, Operations
from alembic.operations.ops import UpgradeOps
from alembic.runtime.plugins import Plugin
from alembic.util import DispatchPriority, PriorityDispatchResult
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.exc import ProgrammingError

from pgstead.app.policies import PolicyError, is_identifier, quoted
from pgstead.app.policy_operations import NOT_THERE_YET, exactly

PLUGIN: Final = "pgstead.views"
INFO: Final = "pgstead.views"

_log = logging.getLogger("alembic.pgstead")
_OPTIONS = "security_invoker = true, security_barrier = true"

_FOUND = text(
    """
    SELECT c.relname::text, pg_get_viewdef(c.oid),
           coalesce(c.reloptions, '{}') @> '{security_invoker=true,security_barrier=true}'
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind = 'v' AND n.nspname = :schema AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_depend AS d WHERE d.classid = 'pg_class'::regclass
          AND d.objid = c.oid AND d.deptype = 'e')
    ORDER BY 1
    """
)


@dataclass(frozen=True, slots=True)
class Definition:
    """A view: its name, what it shows, and whether it asks as its reader."""

    name: str
    query: str
    invoker: bool = True


class View:
    """Declares a view in a metadata's default schema."""

    def __init__(self, name: str, query: str, metadata: MetaData) -> None:
        """Keep the view in the metadata, in the order of declaration."""
        if not is_identifier(name) or not query.strip():
            raise PolicyError("a view needs a name and a query", hint="View(name, query, metadata)")
        self.definition = Definition(name, query.strip().rstrip(";"))
        metadata.info.setdefault(INFO, []).append(self.definition)


def declared(metadata: MetaData) -> list[Definition] | None:
    """Return the views of a metadata; None where it never declared one."""
    return cast("list[Definition] | None", metadata.info.get(INFO))


class _ViewOp(MigrateOperation):
    """An operation on a view, which it carries whole so that it can be reversed."""

    word = ""

    def __init__(self, view: Definition) -> None:
        self.view = view

    def to_diff_tuple(self) -> tuple[Any, ...]:
        """Return what `alembic check` prints."""
        return (self.word, self.view.name)


class CreateViewOp(_ViewOp):
    """Create a view."""

    word = "create_view"

    def reverse(self) -> DropViewOp:
        """Return what leads back."""
        return DropViewOp(self.view)


class DropViewOp(_ViewOp):
    """Drop a view; what it was is told, so that the way back is known."""

    word = "drop_view"

    def reverse(self) -> CreateViewOp:
        """Return what leads back."""
        return CreateViewOp(self.view)


def create_view(name: str, query: str, *, invoker: bool = True) -> None:
    """Create a view; `invoker=False` only leads back to what was there before."""
    op.invoke(CreateViewOp(Definition(name, query, invoker)))


def drop_view(name: str) -> None:
    """Drop a view."""
    op.invoke(DropViewOp(Definition(name, "")))


@Operations.implementation_for(CreateViewOp)
def _create(operations: Operations, operation: CreateViewOp) -> None:
    view = operation.view
    options = f" WITH ({_OPTIONS})" if view.invoker else ""
    operations.execute(exactly(f"CREATE VIEW {quoted(view.name)}{options} AS {view.query}"))


@Operations.implementation_for(DropViewOp)
def _drop(operations: Operations, operation: DropViewOp) -> None:
    operations.execute(exactly(f"DROP VIEW {quoted(operation.view.name)}"))


@renderers.dispatch_for(CreateViewOp)
def _render_create(context: AutogenContext, operation: CreateViewOp) -> str:
    context.imports.add(f"from {__name__} import create_view")
    view = operation.view
    more = "" if view.invoker else ", invoker=False"
    return f"create_view({view.name!r}, {view.query!r}{more})"


@renderers.dispatch_for(DropViewOp)
def _render_drop(context: AutogenContext, operation: DropViewOp) -> str:
    context.imports.add(f"from {__name__} import drop_view")
    return f"drop_view({operation.view.name!r})"


def setup(plugin: Plugin) -> None:
    """Register the comparison; Alembic calls this."""
    plugin.add_autogenerate_comparator(
        _compare, "schema", qualifier="postgresql", priority=DispatchPriority.LAST
    )


def _compare(
    context: AutogenContext, upgrade: UpgradeOps, _schemas: Iterable[str | None]
) -> PriorityDispatchResult:
    connection, metadata = context.connection, context.metadata
    assert connection is not None
    assert isinstance(metadata, MetaData)
    wanted = declared(metadata)
    if wanted is None:
        return PriorityDispatchResult.CONTINUE
    asked = {"schema": connection.dialect.default_schema_name}
    found = {
        str(name): Definition(str(name), _bare(query), bool(invoker))
        for name, query, invoker in connection.execute(_FOUND, asked)
    }
    as_written = {view.name: _written(connection, view) for view in wanted}
    gone = [view for name, view in found.items() if as_written.get(name) != view]
    made = [
        view
        for view in wanted
        if as_written[view.name] is None or found.get(view.name) != as_written[view.name]
    ]
    for view in (*gone, *made):
        _log.info("detected added, removed or changed view %s", view.name)
    # a view may read another one: the last made goes first
    upgrade.ops[:0] = [DropViewOp(view) for view in _last_first(gone, wanted)]
    upgrade.ops.extend(CreateViewOp(view) for view in made)
    return PriorityDispatchResult.CONTINUE


def _last_first(views: list[Definition], wanted: list[Definition]) -> list[Definition]:
    order = {view.name: place for place, view in enumerate(wanted)}
    return sorted(views, key=lambda view: -order.get(view.name, len(order)))


def _written(connection: Connection, view: Definition) -> Definition | None:
    """Return a view as the server writes it back; None where it cannot be made yet."""
    with connection.begin_nested() as undone:
        make = exactly(f"CREATE TEMPORARY VIEW pgstead_specimen AS {view.query}")
        read = text("SELECT pg_get_viewdef('pg_temp.pgstead_specimen'::regclass)")
        try:
            with connection.begin_nested():
                connection.execute(make)
            query = connection.scalar(read)
        except ProgrammingError as error:
            if getattr(error.orig, "sqlstate", "") not in NOT_THERE_YET:
                raise
            return None
        finally:
            undone.rollback()
    return Definition(view.name, _bare(query))


def _bare(query: Any) -> str:
    return str(query).strip().rstrip(";")


Plugin.setup_plugin_from_module(sys.modules[__name__], PLUGIN)
