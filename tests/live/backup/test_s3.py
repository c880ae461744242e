"""A copy of the backups in object storage: on a real server that speaks S3."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pgstead.model.mirror import INDEX, Index, index_of
from tests.fix_stead import PGSTEAD, LiveStead, short_directory
from tests.free_ports import free_ports
from tests.live.backup.s3 import ObjectServer, object_server, stead_with_copy

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectServer]:
    """Give a server with a bucket."""
    with object_server() as made:
        yield made


@pytest.fixture(scope="module")
def copied(server: ObjectServer) -> Iterator[LiveStead]:
    """Give a stead whose backups are copied, with one base backup; its agent does not interfere."""
    with stead_with_copy(server, short_directory()) as made:
        made.run("up")
        made.wired.ports.supervisor.stop("agent")
        made.run("backup", "now")
        made.run("backup", "mirror")
        yield made


def index(server: ObjectServer) -> Index:
    """Return what the bucket says of the copy."""
    return index_of(server.get(f"test/{INDEX}").decode())


def base_of(server: ObjectServer) -> tuple[str, str]:
    """Return the path and the key of the data of a base backup."""
    copies = index(server).copies.items()
    path, copy = max((p, c) for p, c in copies if "/base/" in p and p.endswith(".gpg"))
    return path, f"test/{copy.key}"


@contextmanager
def changed(path: Path, old: str, new: str) -> Iterator[None]:
    """Have a text in a file replaced for a while."""
    before = path.read_text()
    assert old in before
    path.write_text(before.replace(old, new))
    try:
        yield
    finally:
        path.write_text(before)


def test_a_machine_that_has_the_bucket_and_the_key_alone_gets_everything_back(
    copied: LiveStead, server: ObjectServer
) -> None:
    with copied.superuser() as connection:
        connection.execute("CREATE TABLE proof AS SELECT generate_series(1, 1000) AS n")
    assert copied.json("backup", "mirror")["copied"] > 0
    key = copied.directory / "key"
    copied.run("backup", "key", "export", str(key))
    with stead_with_copy(server, short_directory(), top='passphrase_file = "passphrase"') as other:
        there = other.directory / "passphrase"
        there.write_bytes((copied.state / "secrets" / "backup-passphrase").read_bytes())
        there.chmod(0o600)
        refused = other.json("restore", "--from", "s3", status=1)
        assert refused["error"] == "keys-lost"
        # what came stays: of the second attempt only the key is new
        restored = other.run("restore", "--from", "s3", "--key", str(key), "--into", "back")
        assert "fetched from s3://" in restored.stdout
        assert (other.directory / "back" / "PG_VERSION").exists()
        told = other.json("restore", "--from", "s3", "--key", str(key), status=2)
        assert "already" in told["message"]
        other.run("restore", "--in-place", "--yes")
        with other.superuser() as connection:
            rows = connection.execute("SELECT count(*) AS n FROM proof").fetchone()
        assert rows["n"] == 1000
        before = index(server)
        foreign = other.json("backup", "mirror", status=1)
        assert "--take-over" in foreign["hint"], foreign
        assert index(server) == before


def test_nothing_plain_and_no_secret_is_in_the_bucket(
    copied: LiveStead, server: ObjectServer
) -> None:
    paths = index(server).copies
    assert not any("secret" in path or "streaming" in path for path in paths)
    for path, copy in paths.items():
        sealed = path.endswith(".gpg") or len(path.rpartition("/")[2]) == 24
        head = server.get(f"test/{copy.key}")[:1]
        assert not sealed or head[0] in (0x84, 0x85, 0xC1), path
    passphrase = (copied.state / "secrets" / "backup-passphrase").read_bytes().strip()
    kept = server.keys("test/")
    assert not any(passphrase in server.get(key) for key in kept)


@pytest.mark.soak
def test_what_is_deleted_or_altered_in_the_bucket_is_named_and_mended(
    copied: LiveStead, server: ObjectServer
) -> None:
    path, key = base_of(server)
    whole = server.get(key)
    server.put(key, whole[:-1] + bytes([whole[-1] ^ 1]))
    told = copied.json("backup", "verify", "--remote", status=1)
    assert path in told["message"]
    copied.run("backup", "mirror")
    assert server.get(key) == whole
    server.delete(key)
    assert path in copied.json("backup", "verify", "--remote", status=1)["message"]
    copied.run("backup", "mirror")
    server.delete(f"test/{INDEX}")
    copied.run("backup", "mirror")
    copied.run("backup", "verify", "--remote")


@pytest.mark.soak
def test_what_is_spoilt_or_gone_here_stays_as_it_was_there(
    copied: LiveStead, server: ObjectServer
) -> None:
    path, key = base_of(server)
    here = copied.state / "backup" / "repository" / path
    whole = here.read_bytes()
    here.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    try:
        told = copied.json("backup", "mirror", status=1)
        assert path in told["message"]
        assert server.get(key) == whole
        here.unlink()
        assert path in copied.json("backup", "mirror")["strays"]
        assert server.get(key) == whole
    finally:
        here.write_bytes(whole)
        here.chmod(0o600)
    copied.run("backup", "mirror")


@pytest.mark.soak
def test_another_repository_never_takes_the_place_of_the_one_that_was_copied(
    copied: LiveStead, server: ObjectServer
) -> None:
    meta = copied.state / "backup" / "repository" / "stead" / "meta"
    aside, before = meta.with_name("aside"), index(server)
    meta.rename(aside)
    meta.mkdir(mode=0o700)
    try:
        assert "prefix" in copied.json("backup", "mirror", status=1)["hint"]
    finally:
        shutil.rmtree(meta)
        aside.rename(meta)
    assert index(server) == before


@pytest.mark.soak
def test_a_store_that_is_away_disturbs_no_backup_and_is_told(
    copied: LiveStead, server: ObjectServer
) -> None:
    (port,) = free_ports(1)
    with changed(copied.manifest, server.endpoint, f"http://127.0.0.1:{port}"):
        told = copied.json("backup", "mirror", status=1)
        assert told["error"] == "mirror-failed"
        copied.run("backup", "now", "--verify")
        notes = copied.json("status", status=None)["backups"]["notes"]
        assert any("copy to object storage failed" in note for note in notes)
    assert copied.json("backup", "mirror")["copied"] > 0
    status = copied.json("status", status=None)["backups"]
    assert status["mirror"]["waiting"] == 0
    assert not any("object storage failed" in note for note in status["notes"])


@pytest.mark.parametrize("rounds", [pytest.param(n, marks=pytest.mark.soak) for n in (3, 40)])
def test_a_run_that_is_killed_leaves_a_copy_that_is_whole(
    copied: LiveStead, server: ObjectServer, rounds: int
) -> None:
    chance = random.Random(rounds)
    for _ in range(rounds):
        copied.run("backup", "now")
        run = subprocess.Popen(
            [*PGSTEAD, "backup", "mirror"],
            cwd=copied.directory,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(chance.uniform(0.8, 4))
        run.send_signal(signal.SIGKILL)
        run.wait()
        there = server.keys("test/")
        assert {f"test/{c.key}" for c in index(server).copies.values()} <= set(there)
    copied.run("backup", "mirror")
    copied.run("backup", "verify", "--remote")
    wanted = {f"test/{c.key}" for c in index(server).copies.values()} | {f"test/{INDEX}"}
    assert set(server.keys("test/")) == wanted


@pytest.mark.soak
def test_the_agent_alone_keeps_a_copy_that_the_passphrase_opens(server: ObjectServer) -> None:
    more = 'prefix = "alone"\ninterval = "1s"\nmax_age = "10s"\nwith_key = true'
    directory = short_directory()
    (directory / "passphrase").write_text("a long one that nobody guesses\n")
    (directory / "passphrase").chmod(0o600)
    top = 'passphrase_file = "passphrase"'
    with stead_with_copy(server, directory, more=more, top=top) as stead:
        stead.run("up")
        end = time.monotonic() + 120
        segments: list[int] = []
        while len(segments) < 3 and time.monotonic() < end:
            time.sleep(0.5)
            if f"alone/{INDEX}" not in server.keys("alone/"):
                continue
            told = index_of(server.get(f"alone/{INDEX}").decode())
            count = sum("/wals/0" in path for path in told.copies)
            if told.bases and count not in segments:
                segments.append(count)  # nobody wrote more than the ledger's rows
        assert len(segments) >= 3, stead.log_tail()
    with stead_with_copy(server, short_directory(), more=more, top=top) as other:
        (other.directory / "passphrase").write_text("a long one that nobody guesses\n")
        (other.directory / "passphrase").chmod(0o600)
        told = other.run("restore", "--from", "s3", "--into", "back")
        assert "the ledger ends with row" in told.stdout
