"""`pgstead psql DB`."""

from __future__ import annotations

import socket
from pathlib import Path

import click

from pgstead.app.connection import ConnectionFile
from pgstead.cli.address import Address
from pgstead.cli.command import command as new_command
from pgstead.cli.connection import RoleName, address, connection_to
from pgstead.cli.invocation import Invocation, invocation_of
from pgstead.errors import NotRunningError

# What libpq reads from the environment, and what would lead psql elsewhere or past our TLS
# (https://www.postgresql.org/docs/current/libpq-envars.html). PGOPTIONS is refused by PgBouncer.
_LIBPQ = (
    *("PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD", "PGPASSFILE"),
    *("PGSERVICE", "PGSERVICEFILE", "PGSYSCONFDIR", "PGOPTIONS", "PGREQUIREAUTH", "PGREQUIREPEER"),
    *("PGCHANNELBINDING", "PGSSLMODE", "PGREQUIRESSL", "PGSSLCERT", "PGSSLKEY", "PGSSLROOTCERT"),
    *("PGSSLCRL", "PGSSLCRLDIR", "PGSSLNEGOTIATION", "PGSSLMINPROTOCOLVERSION", "PGGSSENCMODE"),
    *("PGSSLMAXPROTOCOLVERSION", "PGTARGETSESSIONATTRS", "PGLOADBALANCEHOSTS", "PGSSLCERTMODE"),
)


@new_command(
    "psql",
    ("pgstead psql shop", "as the application, through the pooler"),
    ("pgstead psql shop --role admin", "past the pooler: SET, LISTEN, temporary tables"),
    ("pgstead psql shop -- -c 'select now()'", "what follows -- is psql's"),
)
@click.argument("database")
@click.argument("arguments", nargs=-1, metavar="[-- ARGS]...")
@click.option(
    "--role",
    type=click.Choice([role.value for role in RoleName]),
    default="app",
    show_default=True,
    help="Who connects.",
)
@click.option("--direct", is_flag=True, help="Go past the pooler; only app and readonly need it.")
def command(database: str, arguments: tuple[str, ...], role: str, direct: bool) -> None:
    """Open psql on a database.

    It is the psql of the server's own build, it verifies the server, and finds the password by
    itself. The exit status is psql's own. Behind the pooler each transaction may meet another
    server connection: what a session keeps needs --direct.
    """
    from pgstead.host.foreground import become

    invocation = invocation_of()
    connection = connection_to(database, invocation.manifest)
    place = address(connection, RoleName(role), direct=direct)
    _must_listen(place)
    program, library_path = _program(connection, invocation)
    environment = _environment(place)
    if library_path:
        environment["LD_LIBRARY_PATH"] = library_path
    become([program, "--no-password", *arguments], environment=environment, without=_LIBPQ)


def _environment(place: Address) -> dict[str, str]:
    return {
        "PGHOST": place.host,
        "PGPORT": str(place.port),
        "PGUSER": place.user,
        "PGDATABASE": place.database,
        "PGPASSFILE": place.passfile,
        "PGSSLMODE": place.sslmode,
        "PGSSLROOTCERT": place.ca,
        "PGCONNECT_TIMEOUT": "10",
        "PGAPPNAME": "pgstead psql",
    }


def _must_listen(place: Address) -> None:
    try:
        with socket.create_connection((place.host, place.port), timeout=5):
            pass
    except OSError as error:
        why = (error.strerror or "no answer in 5 s").lower()
        raise NotRunningError(
            f"connecting to {place.host}:{place.port} failed: {why}",
            hint="`pgstead up` starts it, `pgstead status` shows what runs",
        ) from error


def _program(connection: ConnectionFile, invocation: Invocation) -> tuple[str, str]:
    """Return the psql of the build that made the cluster, and the libraries that it needs."""
    from pgstead.cli.wiring import find_build

    build = find_build(invocation.manifest)
    own = Path(build.bindir) / "psql"
    if not own.exists():
        raise NotRunningError(
            f"{build.bindir} has no psql", hint="`pgstead toolchain add` fetches a whole build"
        )
    return str(own), build.library_path
