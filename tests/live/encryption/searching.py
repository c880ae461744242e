"""A server that tells all it can, and the search of what it and others have told."""

from __future__ import annotations

import subprocess

from psycopg import sql

from pgstead.prove import traces
from tests.live.scratch import Scratch

# All that a careless operator may switch on: what is bound must be worth nothing to a reader.
TALKATIVE = """
log_statement = 'all'
log_parameter_max_length = -1
log_parameter_max_length_on_error = -1
log_min_duration_statement = 0
log_error_verbosity = 'verbose'
shared_preload_libraries = 'pg_stat_statements'
max_prepared_transactions = 4
"""


def make_talkative(scratch: Scratch) -> None:
    """Restart the server so that it logs every statement with its values."""
    scratch.stop()
    with (scratch.data / "postgresql.auto.conf").open("a") as file:
        file.write(TALKATIVE)
    scratch.start()
    role = sql.Identifier(f"{scratch.database}_app")
    with scratch.admin(scratch.database) as admin:
        admin.execute("CREATE EXTENSION pg_stat_statements")
        admin.execute(sql.SQL("GRANT pg_read_all_stats TO {}").format(role))


def needles(*plain: str) -> dict[str, bytes]:
    """Name plaintexts, with the keys' own form where one is given."""
    return {f"plaintext {n}": p.encode() for n, p in enumerate(plain)}


def dumped(vault: Scratch, *options: str) -> bytes:
    """Return a dump of the vault."""
    command = [vault.binaries / "pg_dump", "-h", vault.socket, "-p", str(vault.port)]
    command += ["-U", "postgres", *options, vault.database]
    return subprocess.run(command, check=True, capture_output=True).stdout


def everywhere(vault: Scratch, plain: dict[str, bytes]) -> list[traces.Trace]:
    """Search the server's files, its views and its dumps; and all logs, the pooler's too."""
    with vault.admin(vault.database) as admin:
        admin.execute("CHECKPOINT")
        views = [
            admin.execute("SELECT query FROM pg_stat_statements").fetchall(),
            admin.execute("SELECT query, application_name FROM pg_stat_activity").fetchall(),
            admin.execute("SELECT * FROM pg_stats WHERE schemaname = 'public'").fetchall(),
        ]
    places = [vault.data, *vault.folder.glob("*.log"), vault.folder / "pooler"]
    found = [*traces.search(places, plain).traces]
    known = {name: traces.forms(p) for name, p in plain.items()}
    for where, data in (
        ("views", str(views).encode()),
        ("dump", dumped(vault)),
        ("dump as inserts", dumped(vault, "--inserts")),
    ):
        found += [traces.Trace(name, where) for name in traces.in_bytes(data, known)]
    return found
