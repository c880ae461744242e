"""The keys of encrypted columns are changed while 100 clients write and read them."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from pgstead.app.encryption import Encrypted, EnvironmentSource, UnknownKeyError
from pgstead.app.target import Driver
from tests.fix_stead import CHECKOUT, PGSTEAD, LiveStead, short_directory, stead_in
from tests.live.encryption.vault import Account
from tests.live.rotation.kills import COMMANDS, kill_and_finish
from tests.live.rotation.sealing import kept, opened, put, sealing
from tests.sabotage.test_encryption import fill

pytestmark = pytest.mark.soak
CLIENTS = 100
ROWS = 20_000
KEYS = ("keys", "vault", "--retire")
# The pooler gives up a login after 80 % of the shortest time-out: a busy machine is not what is
# tried here.
VAULT = """
[[databases]]
name = "vault"
models = "tests.live.encryption.vault:Base"
prefix = "VAULT_"

[databases.pool]
timeout = "30s"
"""


@pytest.fixture(scope="module")
def vaulted() -> Iterator[LiveStead]:
    """Give a stead with an application that encrypts."""
    directory = short_directory()
    (directory / "tests").symlink_to(CHECKOUT / "tests")
    with stead_in(directory, extra=VAULT) as stead:
        stead.run("up")
        fill(stead)
        yield stead


def versions(path: Path) -> list[str]:
    return list(json.loads(path.read_text())["values"])


def renewed(stead: LiveStead, version: int) -> int:
    """Count the accounts of a version of the key, by what each value begins with."""
    with stead.connect("vault_admin", direct=True, dbname="vault") as connection:
        query = "SELECT count(*) FROM accounts WHERE left(api_key, 8) = %s"
        found = connection.execute(query, [f"AQEAAAA{'ABCDEFGH'[version]}"]).fetchone()
    assert found is not None
    return int(found[0])


def killed_midway(stead: LiveStead, version: int) -> int:
    """Kill a rotation when some rows are renewed and others are not; return how many are."""
    program = subprocess.Popen([*PGSTEAD, "rotate", *KEYS], cwd=stead.directory)
    end = time.monotonic() + 120
    while renewed(stead, version) <= 2_000:
        assert time.monotonic() < end
        assert program.poll() is None
    program.send_signal(signal.SIGKILL)
    program.wait(30)
    done = renewed(stead, version)
    assert done < ROWS
    return done


def test_column_keys_change_under_load_and_the_old_ones_are_gone(vaulted: LiveStead) -> None:
    keys = vaulted.state / "keys" / "vault.json"
    before = keys.read_text()
    assert versions(keys) == ["1"]
    put(vaulted, ROWS)
    with sealing(vaulted, CLIENTS) as work:
        done = killed_midway(vaulted, 2)
        (told,) = vaulted.json("rotate", *KEYS)["databases"]
        seen = work.done
    assert work.errors == []
    assert seen > CLIENTS
    print(f"{seen} sealed and opened; killed at {done} rows, then {told['rows']} more")
    assert told["version"] == 2  # the one that was begun, and no further one
    assert told["rows"] < ROWS + 100 * CLIENTS - done
    assert told["retired"] == [1]
    assert versions(keys) == ["2"]
    assert '"version": 2' in vaulted.run("keys", "status", "vault", "--json").stdout
    assert kept(vaulted) == sorted(f"kept {number}" for number in range(ROWS))
    with pytest.raises(UnknownKeyError):  # who has the old key alone
        kept(vaulted, EnvironmentSource("OLD", before))


def test_what_is_committed_late_is_never_left_without_its_key(vaulted: LiveStead) -> None:
    told: list[str] = []

    async def late() -> None:
        database = opened(vaulted, "direct", Driver.ASYNCPG)
        async with database.transaction() as session:
            session.add(Account(tenant_id="late", api_key=Encrypted("late")))
            await session.flush()
            rotating = asyncio.create_task(
                asyncio.to_thread(vaulted.run, "rotate", *KEYS, status=1)
            )
            while not rotating.done():  # else the server ends it: idle_in_transaction
                await session.execute(text("SELECT 1"))
                await asyncio.sleep(1)
            told.append(rotating.result().stderr)
        await database.close()

    asyncio.run(late())
    assert "a transaction that has written is still open" in told[0]
    (done,) = vaulted.json("rotate", *KEYS)["databases"]
    assert done["rows"] == 1
    assert len(versions(vaulted.state / "keys" / "vault.json")) == 1


@pytest.mark.timeout(1800)
def test_rotations_killed_at_twenty_moments_are_finished(vaulted: LiveStead) -> None:
    began, keys = time.monotonic(), vaulted.state / "keys" / "vault.json"
    with sealing(vaulted, 40) as work:
        kill_and_finish(vaulted, 20, clients=60, commands=(*COMMANDS, KEYS))
    assert work.errors == []
    assert len(versions(keys)) == 1
    print(f"20 kills in {time.monotonic() - began:.0f} s, {work.done} sealed and opened")
