"""Alembic on a stead: what a system's `env.py` calls.

Migrations run on psycopg, synchronously, as the migrator, at the direct door. The URL never
passes through the ini file, so a `%` in a password is only a `%`. Each revision is one
transaction, which is tried again where a lock is not to be had in time
(`pgstead.app.migration_runner`). Two runners at once: the second waits for the first.

Forced row-level security binds the owner too, and quietly: an UPDATE of his changes no row, and
ADD FOREIGN KEY takes rows that violate it for valid, because he sees none. So migrations run
with `row_security = off`, which makes an error of what would be filtered; a revision that
changes rows says `set_row_security(table, enabled=True, forced=False)` before, and forces again
after.
"""

from __future__ import annotations

import logging
import logging.config
from pathlib import Path
from typing import Any, Final, Literal, cast

from alembic import context
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext, MigrationInfo
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, MetaData, NullPool, create_engine, event, text

from pgstead.app import (
    migration_lock,
    policies,
    policy_migrations,
    policy_operations,
    role_names,
    row_migrations,
    views,
)
from pgstead.app.connection import ConnectionFile
from pgstead.app.encryption import EncryptedType
from pgstead.app.environment import migration_file, migration_target
from pgstead.app.migration_runner import Asked, Report, Runner
from pgstead.app.staged import comparing
from pgstead.app.staged.stages import RUNNER
from pgstead.app.target import Target
from pgstead.errors import SteadError

AUTOGENERATE: Final = "pgstead_autogenerate"  # `config.attributes`: compare and write
REPORT: Final = "pgstead_report"  # `config.attributes`: a Report, for who wants to know

_log = logging.getLogger("alembic.pgstead")

# Default privileges give applications all tables that the owner makes. The revision is there to
# be read (readiness) and to be written by migrations only.
_PROTECT_VERSION = """
DO $$
DECLARE
  grantee text;
BEGIN
  FOR grantee IN
    SELECT DISTINCT CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE acl.grantee::regrole::text END
    FROM pg_class AS c, aclexplode(c.relacl) AS acl
    WHERE c.oid = to_regclass('alembic_version') AND acl.grantee <> c.relowner
      AND acl.privilege_type <> 'SELECT'
  LOOP
    EXECUTE 'REVOKE INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER ON alembic_version FROM '
      || grantee;
  END LOOP;
END
$$
"""


def heads(folder: Path) -> tuple[str, ...]:
    """Return the revisions that the scripts in a folder lead to, sorted."""
    return tuple(sorted(ScriptDirectory(str(folder)).get_heads()))


def run(metadata: MetaData, *, prefix: str, database: str) -> None:
    """Do what `alembic` was asked for; call it from `env.py`.

    A connection or an engine in `config.attributes["connection"]` is used as it is.
    """
    _set_up_logging()
    try:
        _run(metadata, prefix, database)
    except SteadError as error:
        # Alembic's command line prints its own errors as a line, all others as a traceback
        raise CommandError(f"{error.message}\nhint: {error.hint}") from error


def _run(metadata: MetaData, prefix: str, database: str) -> None:
    file = migration_file(database, prefix, start=_start())
    if context.is_offline_mode():
        _offline(metadata, file)
        return
    given = context.config.attributes.get("connection")
    if isinstance(given, Connection):
        _online(given, metadata, file)
        return
    engine = given if isinstance(given, Engine) else engine_to(_target(prefix, database), "alembic")
    try:
        if _changes_the_schema():
            _change(engine, metadata, file)
        else:
            with engine.connect() as connection:
                _online(connection, metadata, file)
                connection.commit()
    finally:
        if engine is not given:
            engine.dispose()


def _set_up_logging() -> None:
    path = context.config.config_file_name
    if path is not None and context.config.cmd_opts is not None:
        logging.config.fileConfig(path, disable_existing_loggers=False, encoding="utf-8")


def _start() -> Path | None:
    path = context.config.config_file_name
    return Path(path).resolve().parent if path is not None else None


def _target(prefix: str, database: str) -> Target:
    return migration_target(database, prefix, start=_start())


def engine_to(target: Target, program: str, *, filtered: bool = False) -> Engine:
    """Return an engine for work of the toolbox: psycopg, one connection at a time.

    Rows that a policy hides are an error, so that no migration passes over them; `filtered` is for
    roles that see theirs by a policy.
    """
    engine = create_engine(
        target.url,
        poolclass=NullPool,
        hide_parameters=True,
        connect_args=target.driver_arguments(program),
    )

    @event.listens_for(engine, "do_connect")
    def _(_dialect: Any, _record: Any, _arguments: list[Any], keywords: dict[str, Any]) -> None:
        if target.password is not None:
            given = target.password.credential()
            keywords |= {"user": given.user, "password": given.password}

    if filtered:
        return engine

    @event.listens_for(engine, "connect")
    def _(connection: Any, _record: Any) -> None:
        connection.execute("SET row_security = off")
        connection.commit()

    return engine


def _options(metadata: MetaData, names: policies.Names) -> dict[str, Any]:
    return {
        "target_metadata": metadata,
        "compare_type": True,
        "compare_server_default": True,
        "transaction_per_migration": True,
        "autogenerate_plugins": [
            "alembic.autogenerate.*",
            "alembic.ext.checkconstraint_byname",
            policy_migrations.PLUGIN,
            views.PLUGIN,
            row_migrations.PLUGIN,
            comparing.PLUGIN,
        ],
        policy_operations.ROLES: names,
        "process_revision_directives": _tidy,
        "render_item": _render,
    }


def _offline(metadata: MetaData, file: ConnectionFile | None) -> None:
    # "named": the style of our driver doubles every `%`, also where a person runs the script
    context.configure(
        dialect_name="postgresql",
        dialect_opts={"paramstyle": "named"},
        literal_binds=True,
        **_options(metadata, _names_given() or role_names.of_file(file)),
    )
    with context.begin_transaction():
        context.run_migrations()


def _names_given() -> policies.Names:
    """Return what roles are called where the toolbox tells it: the lint has no connection file."""
    return context.config.attributes.get(policy_operations.ROLES) or {}


def _online(connection: Connection, metadata: MetaData, file: ConnectionFile | None) -> None:
    """Run on a connection as it is; somebody else's transaction is his to try again."""
    options = _known_options(connection, metadata, file)
    context.configure(connection=connection, **options)
    with context.begin_transaction():
        context.run_migrations()
    if _changes_the_schema():
        connection.execute(text(_PROTECT_VERSION))


def _change(engine: Engine, metadata: MetaData, file: ConnectionFile | None) -> None:
    """Upgrade, downgrade or stamp: alone, each revision until it is done."""
    with migration_lock.alone(engine) as guard, migration_lock.connected(engine) as connection:
        options = _known_options(connection, metadata, file)
        report = context.config.attributes.get(REPORT) or Report()
        report.reason = report.reason or _reason()
        runner = Runner(connection, guard, report)

        def applied(ctx: MigrationContext, step: MigrationInfo, **_more: Any) -> None:
            runner.applied(ctx, step)

        def configure(asked: Asked | None) -> MigrationContext:
            given: dict[str, Any] = {RUNNER: runner} | ({} if asked is None else {"fn": asked})
            context.configure(
                connection=connection, on_version_apply=cast("Any", applied), **options, **given
            )
            return context.get_context()

        runner.run(configure)
        connection.execute(text(_PROTECT_VERSION))
        connection.commit()
        if report.entries and file is not None and file.environment == "production":
            _say_whether_gated(report)


def _say_whether_gated(report: Report) -> None:
    """Say that what ran in production was looked at by nobody, where that is so."""
    if "[gate:" not in (report.reason or ""):
        _log.warning(
            "production, and plain alembic asks for no rehearsal, backup or restore point:"
            " `pgstead migrate up` does, and says so in the ledger"
        )


def _reason() -> str | None:
    """Return what `alembic -x reason="..." upgrade head` gives."""
    return context.get_x_argument(as_dictionary=True).get("reason")


def _known_options(
    connection: Connection, metadata: MetaData, file: ConnectionFile | None
) -> dict[str, Any]:
    began = connection.in_transaction()
    names = role_names.known(file, connection)
    if not began:
        connection.rollback()  # else all migrations would be one transaction, that of the look
    return _options(metadata, names)


def _changes_the_schema() -> bool:
    """Tell upgrade, downgrade and stamp from current, check and revision."""
    try:
        context.get_revision_argument()
    except KeyError:
        return False
    return True


def _tidy(_context: Any, _revision: Any, directives: list[Any]) -> None:
    """Write no file when autogenerate found nothing, and nothing that only models know."""
    asked = getattr(context.config.cmd_opts, "autogenerate", False)
    asked = asked or context.config.attributes.get(AUTOGENERATE, False)
    if not asked or not directives:
        return
    if directives[0].upgrade_ops.is_empty():
        directives.clear()
        _log.info("models and database agree: no revision was written")
        return
    for operation in directives[0].upgrade_ops.ops:
        if isinstance(operation, ops.CreateTableOp):
            declared = [key for key in operation.info if str(key).startswith("pgstead.")]
            for key in declared:
                del operation.info[key]


def _render(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Write an encrypted column as what it is in the database: a revision outlives its model."""
    if kind == "type" and isinstance(item, EncryptedType):
        return f"sa.{item.stored!r}"
    return False
