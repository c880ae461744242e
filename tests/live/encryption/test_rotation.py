"""Keys rotate while an application writes: nothing is lost, nothing old is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from pgstead.app.encryption import (
    Encrypted,
    FileSource,
    Keys,
    TamperedError,
    UnknownKeyError,
    keyfile,
)
from pgstead.app.errors import UniqueError
from tests.live.encryption.vault import Account
from tests.live.encryption.work import made, store, stored, work
from tests.live.scratch import Scratch

ROOT = Path(__file__).resolve().parents[3]
MANIFEST = """
version = 1
name = "scratch"
environment = "development"

[backup]
enabled = false

[[databases]]
name = "jeex_idea"
models = "tests.live.encryption.vault:Base"
prefix = "JEEX_"
"""


@dataclass
class Commands:
    """The command line, at work on the vault."""

    vault: Scratch

    @property
    def keyfile(self) -> Path:
        """Where `keys new` puts the keys."""
        return self.vault.folder / ".pgstead" / "keys" / "jeex_idea.json"

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `pgstead keys ...`."""
        return subprocess.Popen(
            [sys.executable, "-m", "pgstead", "keys", *arguments, "-C", str(self.vault.folder)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, status: int = 0) -> str:
        """Run it to its end; return what it printed."""
        process = self.start(*arguments)
        told, talk = process.communicate(timeout=900)
        assert process.returncode == status, told + talk
        return told if status == 0 else told + talk

    def json(self, *arguments: str, status: int = 0) -> Any:
        """Run it and read its answer."""
        process = self.start(*arguments, "--json")
        told, talk = process.communicate(timeout=900)
        assert process.returncode == status, told + talk
        return json.loads(told)


@pytest.fixture
def commands(vault: Scratch) -> Iterator[Commands]:
    """Give the command line, and an empty vault with first keys."""
    with vault.admin("jeex_idea") as admin:
        admin.execute("TRUNCATE accounts, copies, people, filled, numbered")
    (vault.folder / "pgstead.toml").write_text(MANIFEST)
    found = Commands(vault)
    found.run("new", "jeex_idea")
    yield found
    found.keyfile.unlink()


def fill(vault: Scratch, keys: Keys, count: int) -> dict[str, str]:
    """Insert accounts; return their secrets."""
    plain = {str(uuid.uuid4()): f"secret-{n}" for n in range(count)}

    async def add(session: AsyncSession) -> None:
        for key, secret in plain.items():
            session.add(
                Account(
                    id=uuid.UUID(key),
                    tenant_id=f"t{len(key) % 3}",
                    api_key=Encrypted(secret),
                    pin=Encrypted(secret.encode()) if "1" in secret else None,
                    email=Encrypted(f"{secret}@x.org"),
                )
            )

    work(vault, keys, add)
    return plain


def read_all(vault: Scratch, keys: Keys) -> dict[str, str]:
    """Read every account."""

    async def read(session: AsyncSession) -> dict[str, str]:
        return {str(a.id): a.api_key.reveal() for a in await session.scalars(select(Account))}

    return work(vault, keys, read)


@contextmanager
def application(commands: Commands, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """Run the application in a process of its own."""
    script = Path(__file__).with_name("application.py")
    process = subprocess.Popen(
        [sys.executable, script, commands.vault.connection, commands.keyfile, str(seconds)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:  # closes its pipes
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def told(process: subprocess.Popen[str]) -> Any:
    """Wait for the application's end; return what it says."""
    out, err = process.communicate(timeout=900)
    assert process.returncode == 0, err
    return json.loads(out)


def versions_of(answer: Any) -> dict[str, set[int | None]]:
    found: dict[str, set[int | None]] = {}
    for entry in answer["columns"]:
        found.setdefault(entry["column"], set()).add(entry["version"])
    return found


def under_load(commands: Commands, rows: int, seconds: float) -> None:
    """Rotate values and indexes while an application writes, and look at all that it wrote."""
    before = fill(commands.vault, Keys(FileSource(commands.keyfile)), rows)
    with application(commands, seconds) as process:
        time.sleep(seconds / 8)
        commands.run("new", "jeex_idea")
        commands.run("new", "jeex_idea", "--kind", "indexes")
        answer = commands.json("rotate", "jeex_idea", "--batch", "50")
        seen = told(process)
    assert seen["errors"] == []
    assert len(seen["written"]) > 20
    assert answer["left"] == 0
    assert answer["activated"] == {"values": 2, "indexes": 2}
    assert answer["rows"] >= rows
    after = commands.json("status", "jeex_idea")
    assert {v for found in versions_of(after).values() for v in found} == {2}
    assert sum(
        c["values"] for c in after["columns"] if c["column"] == "accounts.api_key"
    ) == rows + len(seen["written"])
    commands.run("retire", "jeex_idea", "1")
    commands.run("retire", "jeex_idea", "1", "--kind", "indexes")
    fresh = Keys(FileSource(commands.keyfile))
    assert fresh.ring.versions == (2,)
    assert read_all(commands.vault, fresh) == {**before, **seen["written"]}


def test_a_rotation_under_load_loses_nothing_and_leaves_nothing_old(commands: Commands) -> None:
    under_load(commands, 400, 12)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_long_rotation_under_load_loses_nothing_and_leaves_nothing_old(
    commands: Commands,
) -> None:
    under_load(commands, 50_000, 120)


def test_a_killed_rotation_goes_on_where_it_was(commands: Commands) -> None:
    before = fill(commands.vault, Keys(FileSource(commands.keyfile)), 300)
    commands.run("new", "jeex_idea")
    process = commands.start("rotate", "jeex_idea", "--batch", "10", "--pause", "0.2")
    until = time.monotonic() + 60
    while not 0 < renewed(commands) < 300:
        assert time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=120)
    done = renewed(commands)
    assert 0 < done < 300
    assert read_all(commands.vault, Keys(FileSource(commands.keyfile))) == before
    answer = commands.json("rotate", "jeex_idea")
    assert answer["rows"] == 300 - done
    assert answer["left"] == 0
    assert read_all(commands.vault, Keys(FileSource(commands.keyfile))) == before


def renewed(commands: Commands) -> int:
    """Count the accounts with version 2 of the key."""
    with commands.vault.admin("jeex_idea") as admin:
        row = admin.execute(
            "SELECT count(*) FROM accounts WHERE left(api_key, 8) = 'AQEAAAAC'"
        ).fetchone()
        assert row is not None
        return int(row[0])


def test_a_rotation_passes_over_rows_in_use_and_comes_back(commands: Commands) -> None:
    keys = Keys(FileSource(commands.keyfile))
    key = next(iter(fill(commands.vault, keys, 5)))
    commands.run("new", "jeex_idea")
    with commands.vault.raw("jeex_idea") as holder:
        holder.execute("SELECT 1 FROM accounts WHERE id = %s FOR UPDATE", [key])
        process = commands.start("rotate", "jeex_idea", "--json")
        until = time.monotonic() + 120
        while renewed(commands) < 4:
            assert time.monotonic() < until
            time.sleep(0.05)
        assert process.poll() is None
        holder.rollback()
    told_, _ = process.communicate(timeout=60)
    assert json.loads(told_)["left"] == 0


def test_a_rotation_waits_for_what_may_still_be_committed(commands: Commands) -> None:
    keys = Keys(FileSource(commands.keyfile))
    plain = fill(commands.vault, keys, 3)
    with commands.vault.admin("jeex_idea") as admin:
        query = "DELETE FROM accounts WHERE id = %s RETURNING id, tenant_id, api_key"
        late = admin.execute(query, [next(iter(plain))]).fetchone()
        assert late is not None
    commands.run("new", "jeex_idea")
    with commands.vault.raw("jeex_idea") as writer:
        insert = "INSERT INTO accounts (id, tenant_id, api_key) VALUES (%s, %s, %s)"
        writer.execute(insert, [*late])  # by the version before, and no count sees it
        process = commands.start("rotate", "jeex_idea", "--json")
        until = time.monotonic() + 60
        while renewed(commands) < 2:
            assert time.monotonic() < until
            time.sleep(0.05)
        with pytest.raises(subprocess.TimeoutExpired):
            process.communicate(timeout=4)
        writer.commit()
    told_, _ = process.communicate(timeout=60)
    answer = json.loads(told_)
    assert (answer["rows"], answer["left"], answer["settled"]) == (3, 0, True)
    assert read_all(commands.vault, Keys(FileSource(commands.keyfile))) == plain


def test_a_value_that_does_not_open_stops_nothing_and_is_named(commands: Commands) -> None:
    keys = Keys(FileSource(commands.keyfile))
    one, other, *_ = fill(commands.vault, keys, 5)
    store(
        commands.vault,
        "accounts",
        "api_key",
        other,
        stored(commands.vault, "accounts", "api_key", one),
    )
    commands.run("new", "jeex_idea")
    answer = commands.json("rotate", "jeex_idea", status=1)
    assert (answer["rows"], answer["left"]) == (4, 1)
    assert [(f["key"], f["code"]) for f in answer["failures"]] == [([other], "encryption-tampered")]
    refused = commands.run("retire", "jeex_idea", "1", status=2)
    assert "1 rows still need an older version" in refused


def test_the_same_text_stored_twice_while_an_index_key_rotated_is_named_and_stops_nothing_else(
    commands: Commands,
) -> None:
    """A UNIQUE over a blind index holds per version of its key."""
    keys = Keys(FileSource(commands.keyfile))
    plain = fill(commands.vault, keys, 5)
    first = next(iter(plain))
    twice = {"email": Encrypted(f"{plain[first]}@x.org"), "tenant_id": f"t{len(first) % 3}"}
    with pytest.raises(UniqueError):
        made(commands.vault, keys, "other", **twice)
    commands.run("new", "jeex_idea", "--kind", "indexes")
    text = keyfile.writing_with(commands.keyfile.read_text(), keyfile.KeyKind.INDEXES, 2)
    keyfile.write(commands.keyfile, text, owner=None)
    second = str(made(commands.vault, Keys(FileSource(commands.keyfile)), "other", **twice))
    answer = commands.json("rotate", "jeex_idea", status=1)
    assert (answer["rows"], answer["left"]) == (4, 1)
    (failure,) = answer["failures"]
    assert (failure["key"], failure["code"]) == ([first], "unique-violation")
    assert "accounts (tenant_id, email_index)" in failure["message"]
    assert "x.org" not in str(answer)
    with commands.vault.admin("jeex_idea") as admin:
        admin.execute("DELETE FROM accounts WHERE id = %s", [second])
    assert commands.json("rotate", "jeex_idea")["left"] == 0
    # and from now on it holds again
    with pytest.raises(UniqueError):
        made(commands.vault, Keys(FileSource(commands.keyfile)), "other", **twice)


def test_row_level_security_that_hides_rows_is_found_before_anything_is_counted(
    commands: Commands,
) -> None:
    with commands.vault.admin("jeex_idea") as admin:
        admin.execute("ALTER TABLE accounts ENABLE ROW LEVEL SECURITY")
        admin.execute("ALTER TABLE accounts FORCE ROW LEVEL SECURITY")
        try:
            refused = commands.run("rotate", "jeex_idea", status=1)
            assert "row-level security hides rows of accounts" in refused
            admin.execute("CREATE POLICY a ON accounts TO jeex_idea_admin USING (true)")
            assert commands.json("rotate", "jeex_idea")["left"] == 0
            admin.execute("CREATE POLICY r ON accounts AS RESTRICTIVE USING (tenant_id = 'acme')")
            commands.run("rotate", "jeex_idea", status=1)
        finally:
            admin.execute("DROP POLICY IF EXISTS a ON accounts")
            admin.execute("DROP POLICY IF EXISTS r ON accounts")
            admin.execute("ALTER TABLE accounts NO FORCE ROW LEVEL SECURITY")
            admin.execute("ALTER TABLE accounts DISABLE ROW LEVEL SECURITY")


def test_a_lost_key_is_named_and_the_rest_of_the_row_is_read(commands: Commands) -> None:
    keys = Keys(FileSource(commands.keyfile))
    key = next(iter(fill(commands.vault, keys, 1)))
    text = keyfile.with_version(commands.keyfile.read_text(), keyfile.KeyKind.VALUES)[0]
    text = keyfile.writing_with(text, keyfile.KeyKind.VALUES, 2)
    other = commands.keyfile.with_name("other.json")
    keyfile.write(other, keyfile.without_version(text, keyfile.KeyKind.VALUES, 1), owner=None)

    async def read(session: AsyncSession) -> None:
        found = await session.get_one(Account, uuid.UUID(key))
        assert found.tenant_id
        with pytest.raises(UnknownKeyError, match=r"version 1 of the key, and the ring has 2"):
            found.api_key.reveal()

    work(commands.vault, Keys(FileSource(other)), read)


def test_another_key_under_the_same_version_opens_nothing(commands: Commands, keys: Keys) -> None:
    fill(commands.vault, Keys(FileSource(commands.keyfile)), 1)
    with pytest.raises(TamperedError):
        read_all(commands.vault, keys)


def test_what_the_server_refuses_is_said_plainly(commands: Commands) -> None:
    fill(commands.vault, Keys(FileSource(commands.keyfile)), 1)
    commands.run("new", "jeex_idea")
    refused = commands.run("rotate", "jeex_idea", "--role", "readonly", status=1)
    assert "error: the role of this application may not do that" in refused
    unknown = commands.run("rotate", "jeex_idea", "--role", "nobody", status=1)
    assert "has no role for 'nobody'" in unknown


def test_status_tells_versions_and_never_a_key(commands: Commands) -> None:
    fill(commands.vault, Keys(FileSource(commands.keyfile)), 3)
    shown = commands.run("status", "jeex_idea") + commands.run("status", "jeex_idea", "--json")
    document = json.loads(commands.keyfile.read_text())
    for kind in ("values", "indexes"):
        for entry in document[kind].values():
            assert entry["key"] not in shown
    assert "accounts.api_key" in shown


def test_keys_are_given_to_whom_the_application_runs_as(commands: Commands) -> None:
    found = commands.keyfile.stat()
    passfile = commands.vault.folder / ".pgstead" / "passfiles" / "jeex_idea_app"
    assert found.st_mode & 0o777 == 0o600
    assert commands.keyfile.parent.stat().st_mode & 0o777 == 0o711
    assert found.st_uid == passfile.stat().st_uid
