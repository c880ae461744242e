"""Keys of the repository, what lies in it, who was there, and dumps that other versions read."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from pgstead.host import gpg
from pgstead.host.barman_histories import open_all
from pgstead.model.backup import BackupPlan, Task
from tests.fix_stead import PGSTEAD, LiveStead, stead_in, toolchain, workplace
from tests.live.scratch import server_user

CANARY = f"CANARY-{secrets.token_hex(16)}"
# What may be plain in the repository: names, sums, sizes, places in the WAL; no row.
PLAIN = re.compile(
    r"^(key/(public|secret)\.asc|pgstead\.toml|stead/(identity\.json|meta/\S+\.info"
    r"|base/\w+/data/backup_manifest|wals/stead-xlog\.db|wals/\w{8}\.history))$"
)
SPOOL = "stead/streaming/"  # what is being received, stated in docs/adr/0024


@pytest.fixture(scope="module")
def backed_up() -> Iterator[LiveStead]:
    """Give a stead with a canary in a table, in WAL and in a base backup."""
    with stead_in(backup="true") as stead:
        stead.run("up")
        with stead.superuser("jeex_idea") as connection:
            connection.execute("CREATE SCHEMA canary")
            connection.execute("CREATE TABLE canary.cage (song text)")
            sung = "INSERT INTO canary.cage SELECT %s::text FROM generate_series(1, 200)"
            connection.execute(sung, [CANARY])
            connection.execute("CHECKPOINT")
            connection.execute("SELECT pg_switch_wal()")
        stead.run("backup", "now")
        yield stead


def plan(stead: LiveStead) -> BackupPlan:
    """Return how it is backed up."""
    assert stead.wired.design.backup is not None
    return stead.wired.design.backup


def sings(path: Path) -> bool:
    """Say whether the canary is in a file, as it stands there."""
    return CANARY.encode() in path.read_bytes()


def test_two_that_open_a_history_at_once_do_not_stumble_over_each_other(
    backed_up: LiveStead, tmp_path: Path
) -> None:
    # as the agent and a command do after a restore, when a timeline has just begun
    told, tools = plan(backed_up), backed_up.wired.survey.tools
    assert tools is not None
    wals = tmp_path / "stead" / "wals"
    wals.mkdir(parents=True)
    there = replace(told, repository=str(tmp_path))
    shutil.copytree(told.key, there.key)
    text = "1\t0/3000000\tno recovery target specified\n"
    for number in range(2, 6):
        plain, history = tmp_path / "plain", wals / f"{number:08X}.history"
        plain.write_text(text)
        with gpg.keyring(tools, Path(told.key), None) as home:
            gpg.encrypt(tools, home, told.recipient, plain, history)
    with ThreadPoolExecutor(2) as both:
        runs = [both.submit(open_all, there, tools, tmp_path) for _ in range(2)]
        for run in runs:
            run.result()
    assert {path.read_text() for path in wals.glob("*.history")} == {text}


def test_no_plaintext_lies_in_the_repository(backed_up: LiveStead) -> None:
    repository = Path(plan(backed_up).repository)
    files = [path for path in repository.rglob("*") if path.is_file()]
    names = {path: str(path.relative_to(repository)) for path in files}
    kept = [path for path in files if not names[path].startswith(SPOOL)]
    assert any(sings(p) for p in (backed_up.state / "server/data/base").rglob("*") if p.is_file())
    assert [names[path] for path in kept if sings(path)] == []
    plain = [names[p] for p in kept if not PLAIN.match(names[p]) and not gpg.sealed_to(p)]
    assert plain == []
    assert len(kept) > 8


def test_a_rotated_key_seals_what_comes_and_opens_what_was(backed_up: LiveStead) -> None:
    stead = backed_up
    first = stead.json("backup", "show")["name"]
    (before,) = stead.json("backup", "key", "show")["keys"]
    stead.run("backup", "export")
    made = stead.json("backup", "key", "rotate")
    stead.run("backup", "key", "passphrase")
    beside, own = Path(plan(stead).exports, "backup-keys.asc"), Path(plan(stead).key, gpg.SECRET)
    assert beside.read_text() == own.read_text()
    stead.run("backup", "now", "--verify")
    former, current = stead.json("backup", "key", "show")["keys"]
    assert former["fingerprint"] == before["fingerprint"]
    assert current["fingerprint"] == made["fingerprint"]
    assert (former["current"], current["current"]) == (False, True)
    assert former["sealed"] > 0
    assert current["sealed"] > 0
    # from a base backup of the one key, over WAL of both
    stead.run("backup", "verify", first)


def test_a_change_of_the_passphrase_that_was_killed_is_ended_by_who_comes_next(
    backed_up: LiveStead,
) -> None:
    passphrase = Path(plan(backed_up).passphrase)
    text = passphrase.read_text()
    # the keys have the new one, the file has the old one still
    passphrase.with_name(passphrase.name + gpg.PENDING).write_text(text)
    passphrase.write_text("the old one\n")
    backed_up.run("backup", "verify")
    assert passphrase.read_text() == text
    assert not passphrase.with_name(passphrase.name + gpg.PENDING).exists()


def test_the_key_is_copied_once_and_for_its_owner_alone(
    backed_up: LiveStead, tmp_path: Path
) -> None:
    copy = tmp_path / "keys.asc"
    backed_up.run("backup", "key", "export", str(copy))
    assert copy.stat().st_mode & 0o777 == 0o600
    assert "BEGIN PGP PRIVATE KEY" in copy.read_text()
    backed_up.run("backup", "key", "export", str(copy), status=2)


def test_who_did_what_and_when_is_in_the_journal(backed_up: LiveStead) -> None:
    backed_up.run("backup", "key", "show")
    lines = (backed_up.state / "journal.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    told = {event["event"] for event in events}
    wanted = {"backup begun", "backup done", "verify begun", "verify done", "backup keys shown"}
    assert wanted <= told
    assert all(event["user"] and event["time"] for event in events if event["event"] in wanted)
    secret = Path(plan(backed_up).passphrase).read_text().strip()
    assert not any(secret in line for line in lines)


def test_an_export_has_a_file_for_each_database_and_lets_old_ones_go(
    backed_up: LiveStead, tmp_path: Path
) -> None:
    old, other = "jeex_idea_20200101_000000.dump", "theirs_20200101_000000.dump"
    for name in (old, other, "jeex_idea_notes.txt"):
        (tmp_path / name).touch()
    made = backed_up.json("backup", "export", "--out", str(tmp_path))
    assert [dump["database"] for dump in made] == ["jeex_idea", "globals"]
    for dump in made:
        file = Path(dump["file"])
        assert re.fullmatch(
            r"(jeex_idea_\d{8}_\d{6}\.dump|globals_\d{8}_\d{6}\.sql)\.gpg", file.name
        )
        assert file.stat().st_size == dump["size"] > 0
        assert file.stat().st_mode & 0o777 == 0o600
        assert gpg.sealed_to(file)
        assert hashlib.sha256(file.read_bytes()).hexdigest() == dump["sha256"]
    left = {path.name for path in tmp_path.iterdir()} - {Path(d["file"]).name for d in made}
    assert left == {other, "jeex_idea_notes.txt", "backup-keys.asc"}
    assert (tmp_path / "backup-keys.asc").stat().st_mode & 0o777 == 0o600
    assert backed_up.wired.ports.backup is not None
    (run,) = backed_up.wired.ports.backup.catalog.runs(Task.EXPORT, limit=1)
    assert run.detail["removed"] == [old]
    backed_up.run("backup", "export", "nowhere", status=2)


def test_an_export_that_fails_says_so_and_leaves_nothing(
    backed_up: LiveStead, tmp_path: Path
) -> None:
    waiting = "SELECT pid FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))"
    command = [*PGSTEAD, "backup", "export", "--out", str(tmp_path)]
    with (
        backed_up.superuser("jeex_idea") as holder,
        backed_up.superuser() as looker,  # what a transaction sees of activity stands still
        holder.transaction(),
    ):
        holder.execute("LOCK TABLE canary.cage IN ACCESS EXCLUSIVE MODE")
        export = subprocess.Popen(
            command, cwd=backed_up.directory, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        try:
            end, found = time.monotonic() + 60, None
            while found is None and time.monotonic() < end:
                found = looker.execute(waiting, [holder.info.backend_pid]).fetchone()
                time.sleep(0.05)
            assert found is not None
            looker.execute("SELECT pg_terminate_backend(%s)", [found["pid"]])
            _, said = export.communicate(timeout=60)
        finally:
            export.kill()
            export.communicate()
    assert export.returncode == 1
    assert b"pg_dump failed" in said
    assert list(tmp_path.iterdir()) == []


def test_a_sealed_dump_is_opened_by_bare_gpg_and_loaded_by_another_version(
    backed_up: LiveStead, tmp_path: Path
) -> None:
    made = backed_up.json("backup", "export", "--out", str(tmp_path / "dumps"))
    sealed = {d["database"]: Path(d["file"]) for d in made}
    dumps = bare(Path(plan(backed_up).passphrase), sealed, tmp_path)
    opened = tmp_path / "opened"
    backed_up.run("backup", "open", str(sealed["jeex_idea"]), "--out", str(opened))
    assert opened.stat().st_mode & 0o777 == 0o600
    assert opened.read_bytes() == dumps["jeex_idea"].read_bytes()
    (mine,) = toolchain(18).glob("postgresql/*/bin")
    with another(17) as host:
        to = ["--host", host, "--username", "postgres"]
        ran([str(mine / "psql"), *to, "--quiet", "--file", str(dumps["globals"]), "postgres"])
        load = [str(mine / "pg_restore"), *to, "--create", "--dbname", "postgres"]
        ran([*load, str(dumps["jeex_idea"])])
        major_of = "current_setting('server_version_num')::int / 10000"
        counted = f"SELECT count(*), {major_of} FROM canary.cage"
        said = ran([str(mine / "psql"), *to, "-At", "--command", counted, "jeex_idea"])
    assert said.split() == ["200|17"]


def bare(passphrase: Path, sealed: dict[str, Path], place: Path) -> dict[str, Path]:
    """Open dumps by what the documents say: gpg, the key beside them, and the passphrase."""
    home = Path(tempfile.mkdtemp(prefix="pgst-"))
    told = {**os.environ, "GNUPGHOME": str(home)}
    command = ["gpg", "--batch", "--quiet", "--pinentry-mode", "loopback"]
    command += ["--passphrase-file", str(passphrase)]
    try:
        keys = sealed["globals"].with_name("backup-keys.asc")
        subprocess.run([*command, "--import", str(keys)], env=told, check=True)
        for name, file in sealed.items():
            done = [*command, "--output", str(place / name), "--decrypt", str(file)]
            subprocess.run(done, env=told, check=True)
    finally:
        subprocess.run(["gpgconf", "--kill", "all"], env=told, check=False)
        shutil.rmtree(home, ignore_errors=True)
    return {name: place / name for name in sealed}


def test_plain_dumps_do_not_lie_among_sealed_backups(backed_up: LiveStead, tmp_path: Path) -> None:
    exports = Path(plan(backed_up).exports)
    backed_up.run("backup", "export", "--plain", status=2)
    (made, _) = backed_up.json("backup", "export", "--plain", "--out", str(tmp_path / "plain"))
    assert not made["sealed"]
    assert sings_inside(Path(made["file"]))
    sealed = Path(backed_up.json("backup", "export")[0]["file"])
    said = backed_up.run("backup", "open", str(sealed), "--out", str(exports / "a"), status=2)
    assert "what lies there is sealed" in said.stderr
    # neither over something, nor from what is not sealed
    backed_up.run("backup", "open", str(sealed), "--out", made["file"], status=2)
    backed_up.run("backup", "open", made["file"], "--out", str(tmp_path / "b"), status=2)
    # nor from what was altered
    text = bytearray(sealed.read_bytes())
    text[len(text) // 2] ^= 0xFF
    sealed.write_bytes(text)
    said = backed_up.run("backup", "open", str(sealed), "--out", str(tmp_path / "c"), status=1)
    assert "cannot be read" in said.stderr
    assert not (tmp_path / "c").exists()


def sings_inside(dump: Path) -> bool:
    """Say whether the canary is in a dump."""
    (mine,) = toolchain(18).glob("postgresql/*/bin")
    return CANARY in ran([str(mine / "pg_restore"), "--file", "-", str(dump)])


def ran(command: list[str]) -> str:
    """Run a client; return what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    return done.stdout


@contextmanager
def another(major: int) -> Iterator[str]:
    """Give the socket directory of an empty server of another version."""
    (programs,) = toolchain(major).glob("postgresql/*/bin")
    user = server_user()
    with workplace() as place:
        if user is not None:
            shutil.chown(place, user)
        data = str(place / "data")

        def run(*command: str) -> None:
            subprocess.run(
                [str(programs / command[0]), *command[1:]], check=True, user=user, cwd=place,
                extra_groups=None if user is None else [], stdout=subprocess.DEVNULL,
                env={**os.environ, "LC_ALL": "C.UTF-8"}, timeout=60,
            )  # fmt: skip

        run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8")
        options = f"-c listen_addresses= -c unix_socket_directories={place} -c fsync=off"
        run("pg_ctl", "start", "-w", "-s", "-D", data, "-o", options, "-l", str(place / "log"))
        try:
            yield str(place)
        finally:
            run("pg_ctl", "stop", "-w", "-s", "-m", "immediate", "-D", data)
