"""`pgstead url DB`."""

from __future__ import annotations

from pathlib import PurePosixPath

import click

from pgstead.app.connection import ConnectionFile
from pgstead.cli.address import Driver, url
from pgstead.cli.command import command as new_command
from pgstead.cli.connection import RoleName, address, connection_to, state_of
from pgstead.cli.console import Console
from pgstead.cli.invocation import invocation_of

ROLES = click.Choice([role.value for role in RoleName])


@new_command(
    "url",
    ("pgstead url shop", "for psql, psycopg, asyncpg.connect and most tools"),
    ("pgstead url shop --driver asyncpg", "for SQLAlchemy with asyncpg"),
    (
        "pgstead url shop --role migrator",
        "for migrations: past the pooler, as for admin and monitor",
    ),
    ("pgstead url shop --reveal", "with the password, for what reads no passfile"),
)
@click.argument("database")
@click.option("--role", type=ROLES, default="app", show_default=True, help="Who connects.")
@click.option(
    "--direct",
    is_flag=True,
    help="Go to the server, not to the pooler; migrator, admin and monitor always do.",
)
@click.option(
    "--driver",
    type=click.Choice(["asyncpg", "psycopg"]),
    help="Print SQLAlchemy's dialect for this driver.",
)
@click.option("--reveal", is_flag=True, help="Print the password instead of the passfile's path.")
def command(database: str, role: str, direct: bool, driver: str | None, reveal: bool) -> None:
    """Print the URL of a database, without its password.

    The URL verifies the server (sslmode=verify-full) and names the passfile that holds the
    password, so it may be shown and stored. By default it is the application role's, through
    the pooler.
    """
    invocation = invocation_of()
    console = Console(invocation)
    connection = connection_to(database, invocation.manifest)
    place = address(connection, RoleName(role), direct=direct)
    chosen = Driver(driver) if driver else Driver.LIBPQ
    text = url(place, chosen, _password(connection, place.user) if reveal else None)
    if invocation.json:
        console.data({"url": text, "role": role, "user": place.user, "driver": chosen.value})
        return
    console.line(text)
    direct_door = connection.doors.get("direct")
    if direct_door is None or place.port != direct_door.port:
        _tell_of_prepared_statements(console, connection, chosen)


def _tell_of_prepared_statements(
    console: Console, connection: ConnectionFile, driver: Driver
) -> None:
    pooler = connection.pooler
    if pooler is None or pooler.prepared_statements:
        return
    console.say(f"note: PgBouncer {pooler.version} does not know prepared statements")
    if driver is Driver.LIBPQ:
        console.hint("psycopg wants prepare_threshold=None, asyncpg statement_cache_size=0")
    else:
        console.hint(
            "SQLAlchemy cannot be told so by a URL: use pgstead.app in the application, --direct "
            "for anything else"
        )


def _password(connection: ConnectionFile, user: str) -> str:
    from pgstead.host.secrets import SecretFiles

    return SecretFiles(PurePosixPath(state_of(connection) / "secrets")).value(user)
