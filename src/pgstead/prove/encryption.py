"""Promises of encryption at rest: what is stored is ciphertext, and plaintext lies nowhere."""

from __future__ import annotations

import os
import stat
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from psycopg import sql

from pgstead.model.address import Capability
from pgstead.prove import sealed, sealed_rows, traces
from pgstead.prove.finding import Answer, CannotTryError, Finding, answer, timed
from pgstead.prove.promise import promise
from pgstead.prove.sealed import Sealed
from pgstead.prove.session import Session
from pgstead.prove.witness import Witness

ENCRYPTION = Capability.ENCRYPTION
_REFUSED = ("23514",)
_PLAIN = "plaintext that no column may hold"


@promise(
    "ENC-001",
    "every value of an encrypted column is encrypted, with a version of the key that is there",
    requirement="ENC-1 ENC-2",
    capability=ENCRYPTION,
)
def values_are_encrypted(w: Witness) -> Iterator[Finding]:
    for column in sealed.columns(w):
        known = sealed.keys_of(w, column.database).ciphers
        told = _by_version(w, column)
        lost = [str(v) for v in told.value if v is not None and v not in known]
        plain = told.value.get(None, 0)
        counts = [f"{n} of version {v}" for v, n in told.value.items() if v is not None]
        yield told.shows(
            holds=not plain and not lost,
            expected=f"no value that is not encrypted (there are {plain}), and no version that the"
            f" keys lack ({', '.join(lost) or 'none'})",
            hint="`pgstead keys status` counts them; a lost version is in the copy of the keys",
            said=f"{column}: {', '.join(counts) or 'no value'}",
        )


def _by_version(w: Witness, column: Sealed) -> Answer[dict[int | None, int]]:
    """Count the values by the version of their key; where there is none, one of our own."""
    with w.backstage(column.database) as session:
        told = _counted(session, column)
    if told.value:
        return told
    with sealed_rows.rows(w, column.database) as maker:
        maker.row(sealed_rows.table_of(maker, column).oid)
        return _counted(maker.session, column)


def _counted(session: Session, column: Sealed) -> Answer[dict[int | None, int]]:
    made = sql.SQL(
        "SELECT {h}, count(*) FROM {t} WHERE {c} IS NOT NULL GROUP BY 1 ORDER BY 1"
    ).format(h=column.header, c=sql.Identifier(column.column), t=column.relation)
    told = session.ask(made)
    counts: Counter[int | None] = Counter()
    for first, number in told.value:
        # the highest bit says whose the key is, not which
        version = None if first is None else int.from_bytes(bytes(first)[2:], "big") & 0x7FFFFFFF
        counts[version] += int(number)
    return Answer(told.tried, told.text, counts, told.seconds, told.at)


@promise(
    "ENC-002",
    "an encrypted value opens in its own place, and not altered, nor in another row, column or"
    " tenant",
    requirement="ENC-1",
    capability=ENCRYPTION,
)
def values_are_bound(w: Witness) -> Iterator[Finding]:
    for value in sealed_rows.all_values(w):
        keys = sealed.keys_of(w, value.column.database)
        if value.version not in keys.ciphers:
            continue  # ENC-001 has found it
        place = f"{value.column}, row {', '.join(value.key)}"
        with timed() as watch:
            opens = value.opened(keys) is not None
            moved = [how for how, other in value.elsewhere() if other.opened(keys) is not None]
        said = "opens here and nowhere else" if opens and not moved else f"opens here: {opens}"
        told = answer(f"AES-256-GCM by hand: {place}", said, None, watch)
        yield told.shows(
            holds=opens and not moved,
            expected="a value that opens in its place alone"
            + (f"; it opens {' and '.join(moved)}" if moved else ""),
            hint="it was altered or copied; take it from a backup or set it anew",
        )


@promise(
    "ENC-003",
    "the server refuses plaintext in an encrypted column, whoever writes it",
    requirement="ENC-1",
    capability=ENCRYPTION,
)
def plaintext_is_refused(w: Witness) -> Iterator[Finding]:
    for column in sealed.columns(w):
        with sealed_rows.rows(w, column.database) as maker:
            table = sealed_rows.table_of(maker, column)
            change = sql.SQL("UPDATE {} SET {} = %s WHERE {}").format(
                column.relation,
                sql.Identifier(column.column),
                table.where(maker.row(table.oid)),
            )
            yield maker.session.must_refuse(
                change,
                [_PLAIN if column.textual else _PLAIN.encode()],
                states=_REFUSED,
                hint=f"give the table sealed_check({column.column!r}) and migrate",
            )


@promise(
    "ENC-004",
    "no plaintext of an encrypted value lies in data files, WAL, logs or dumps",
    requirement="ENC-1",
    capability=ENCRYPTION,
    limit=300.0,
)
def plaintext_lies_nowhere(w: Witness) -> Iterator[Finding]:
    plain = _plaintexts(w)
    layout = w.design.layout
    data = w.setting("data_directory").value
    with w.backstage(write=True) as session:
        session.connection.execute("CHECKPOINT")  # what is in memory alone would not be found
    places = {
        "data files and WAL": Path(data),
        "logs of the server": Path(layout.server_log),
        "the pooler's files": Path(layout.pooler),
        "logs of services": Path(layout.logs),
    }
    for name, place in places.items():
        with timed() as watch:
            found = traces.search([place], plain)
        where = sorted({f"{t.name} in {t.where}" for t in found.traces})
        told = answer(
            f"search of {place} ({name}) for {len(plain)} plaintexts, as text, hex and base64",
            f"{found.files} files, {found.size} bytes, {len(where)} traces",
            None,
            watch,
        )
        yield told.shows(
            holds=not where,
            expected=f"none; found: {'; '.join(where[:5])}",
            hint="which statement wrote it there? values are bound, never literals",
        )
    yield from (_dumped(w, name, plain) for name in {c.database for c in sealed.columns(w)})


def _plaintexts(w: Witness) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for value in sealed_rows.all_values(w):
        plain = value.opened(sealed.keys_of(w, value.column.database))
        if plain is not None and len(plain) >= traces.LEAST:
            found[f"{value.column} of row {', '.join(value.key)}"] = plain
    if not found:
        raise CannotTryError("no stored value is long enough to look for", could_try=False)
    return found


def _dumped(w: Witness, database: str, plain: dict[str, bytes]) -> Finding:
    program = Path(w.design.build.bindir) / "pg_dump"
    if not program.exists():
        raise CannotTryError("the program pg_dump was not found", could_try=False)
    port = int(w.setting("port").value)
    layout, user = w.design.layout, w.design.superuser
    with timed() as watch:
        try:
            written = traces.dump(
                str(program), str(layout.socket), port, user, database, w.access.library_path
            )
        except subprocess.CalledProcessError as error:
            words = error.stderr.decode(errors="replace").strip()
            raise CannotTryError(f"pg_dump of {database} failed: {words}") from error
    needles = {name: traces.forms(p) for name, p in plain.items()}
    found = traces.in_bytes(written, needles)
    told = answer(f"pg_dump {database}", f"{len(written)} bytes, {len(found)} traces", None, watch)
    return told.shows(holds=not found, expected=f"no plaintext; found: {'; '.join(found[:5])}")


@promise(
    "ENC-005",
    "keys are readable by one user, and lie outside of the data directory",
    requirement="ENC-2",
    capability=ENCRYPTION,
)
def keys_are_kept_apart(w: Witness) -> Iterator[Finding]:
    data = Path(w.setting("data_directory").value)
    for database in dict.fromkeys(c.database for c in sealed.columns(w)):
        path = sealed.keys_of(w, database).path
        with timed() as watch:
            found = os.stat(path)  # noqa: PTH116 - follows a link, as an application does
            mode = stat.S_IMODE(found.st_mode)
            inside = data.resolve() in path.resolve().parents
        told = answer(f"stat {path}", f"mode {mode:04o}, uid {found.st_uid}", None, watch)
        yield told.shows(
            holds=not mode & 0o077 and not inside,
            expected="mode 0600, outside of the data directory and so of its backups",
            hint=f"chmod 600 {path}; if others could read it: `pgstead keys new`, `keys rotate`",
        )


PROMISES = (
    values_are_encrypted,
    values_are_bound,
    plaintext_is_refused,
    plaintext_lies_nowhere,
    keys_are_kept_apart,
)
