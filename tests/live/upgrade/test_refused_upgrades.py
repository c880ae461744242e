"""What an upgrade refuses before anything is stopped, and what stays as it was then."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fix_stead import LiveStead, stead_in
from tests.live.backup.small_disks import may_mount, namespace
from tests.live.upgrade.both import ask_for, copied_toolchain, link_both, stead_of_two

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(900)]

PREPARED = '[server.settings]\nmax_prepared_transactions = "5"\n'


@pytest.fixture(scope="module")
def old() -> Iterator[LiveStead]:
    """Give a stead on 17 whose manifest asks for 18 already."""
    with stead_of_two(17, 18, server=PREPARED) as stead:
        copied_toolchain(stead)
        stead.wired  # noqa: B018  as it is before the manifest asks for another version
        text = stead.manifest.read_text()
        stead.manifest.write_text(text.replace("major = 17", "major = 18"))
        yield stead


def refused(stead: LiveStead, *words: str, status: int = 3, also: tuple[str, ...] = ()) -> None:
    """See that both ways are refused, and that the server goes on."""
    pid = stead.wired.ports.supervisor.states()["postgres"].pid
    for way in ("--rehearse", "--unrehearsed"):
        done = stead.run("upgrade", way, *also, status=status)
        for word in words:
            assert word in done.stdout + done.stderr
    assert stead.wired.ports.supervisor.states()["postgres"].pid == pid
    assert not (stead.state / "upgrade" / "pending.json").exists()
    assert not (stead.state / "server" / "data.next").exists()


def test_prepared_transactions_stop_an_upgrade(old: LiveStead) -> None:
    with old.superuser() as connection:
        connection.execute("BEGIN")
        connection.execute("CREATE TABLE later (n int)")
        connection.execute("PREPARE TRANSACTION 'later'")
    try:
        refused(old, "prepared transactions are left: later", "ROLLBACK PREPARED")
    finally:
        with old.superuser() as connection:
            connection.execute("ROLLBACK PREPARED 'later'")


def test_replication_slots_stop_an_upgrade(old: LiveStead) -> None:
    with old.superuser() as connection:
        connection.execute("SELECT pg_create_physical_replication_slot('follower', true)")
    try:
        refused(old, "replication slots would be lost: follower")
    finally:
        with old.superuser() as connection:
            connection.execute("SELECT pg_drop_replication_slot('follower')")


def test_an_extension_that_the_new_binaries_lack(old: LiveStead) -> None:
    (share,) = (old.state / "toolchain" / "postgresql").glob("18.*/share/**/hstore.control")
    share.rename(share.with_suffix(".gone"))
    with old.superuser("jeex_idea") as connection:
        connection.execute("CREATE EXTENSION hstore")
    try:
        refused(old, "no extension hstore, which is in jeex_idea", "DROP EXTENSION hstore")
    finally:
        with old.superuser("jeex_idea") as connection:
            connection.execute("DROP EXTENSION hstore")
        share.with_suffix(".gone").rename(share)


def test_a_database_that_nobody_can_connect_to(old: LiveStead) -> None:
    with old.superuser() as connection:
        connection.execute("CREATE DATABASE closed ALLOW_CONNECTIONS false")
    try:
        refused(old, "databases that nobody can connect to: closed")
    finally:
        with old.superuser() as connection:
            connection.execute("DROP DATABASE closed")


def test_binaries_of_another_major_version(old: LiveStead) -> None:
    """Named in the manifest: those of 17 for 18."""
    (bindir,) = (old.state / "toolchain" / "postgresql").glob("17.*/bin")
    text = old.manifest.read_text()
    old.manifest.write_text(text.replace("major = 18", f'major = 18\nbindir = "{bindir}"'))
    try:
        refused(old, "server.major is 18", status=1)
    finally:
        old.manifest.write_text(text)


def test_binaries_that_are_not_there(old: LiveStead) -> None:
    (there,) = (old.state / "toolchain" / "postgresql").glob("18.*")
    there.rename(there.with_name("away"))
    try:
        refused(old, "no binaries of PostgreSQL 18", "pgstead toolchain add 18", status=1)
    finally:
        there.with_name("away").rename(there)


def test_another_change_beside_the_version(old: LiveStead) -> None:
    text = old.manifest.read_text()
    old.manifest.write_text(text.replace('memory = "4GB"', 'memory = "3GB"'))
    try:
        refused(old, "differs in more than server.major", status=2)
    finally:
        old.manifest.write_text(text)


def test_a_way_down(old: LiveStead) -> None:
    text = old.manifest.read_text()
    old.manifest.write_text(text.replace("major = 18", "major = 16"))
    try:
        refused(old, "there is no way down", status=2)
    finally:
        old.manifest.write_text(text)


def test_an_upgrade_without_a_rehearsal_is_refused(old: LiveStead) -> None:
    done = old.run("upgrade", status=3)
    assert "no rehearsal has shown" in done.stderr


def test_nothing_to_take_back(old: LiveStead) -> None:
    assert "no upgrade was done" in old.run("upgrade", "--back", status=2).stderr


def test_what_pg_upgrade_itself_refuses(old: LiveStead) -> None:
    """A column of a type that 18 does not have in the same form any more."""
    with old.superuser("jeex_idea") as connection:
        connection.execute("CREATE TABLE odd (r regconfig)")
        connection.execute("CREATE TABLE odder (r regproc)")
    try:
        done = old.run("upgrade", "--unrehearsed", status=1)
        assert "pg_upgrade failed" in done.stderr
        assert "reg" in done.stderr
        assert old.wired.ports.sql.answers()
        assert not (old.state / "upgrade" / "pending.json").exists()
        with old.connect() as client:
            client.execute("SELECT 1")
    finally:
        with old.superuser("jeex_idea") as connection:
            connection.execute("DROP TABLE odd, odder")


def test_other_commands_say_what_is_asked_for(old: LiveStead) -> None:
    done = old.run("up", status=1)
    assert "pgstead upgrade --rehearse" in done.stderr


def test_binaries_of_the_old_version_that_are_gone(old: LiveStead) -> None:
    (there,) = (old.state / "toolchain" / "postgresql").glob("17.*")
    there.rename(there.with_name("away"))
    try:
        refused(old, "no binaries of PostgreSQL 17", "pgstead toolchain add 17", status=1)
    finally:
        there.with_name("away").rename(there)


def test_a_server_that_does_not_run_and_one_that_somebody_else_started(old: LiveStead) -> None:
    design = old.wired.design
    data, binaries = str(design.layout.data), Path(design.build.bindir)
    command = [str(binaries / "pg_ctl"), "-D", data, "-w", "-s", "-l", f"{data}/by-hand.log"]
    text = old.manifest.read_text()
    old.run("down")
    try:
        done = old.run("upgrade", "--unrehearsed", status=1)
        assert "does not run" in done.stderr
        assert "server.major = 17 starts it" in done.stderr
        _as_server_user(old, [*command, "start"])
        try:
            done = old.run("upgrade", "--unrehearsed", status=3)
            assert "pending besides the version" in done.stderr
        finally:
            _as_server_user(old, [*command, "-m", "fast", "stop"])
        assert not (old.state / "upgrade" / "pending.json").exists()
        assert not (old.state / "server" / "data.next").exists()
    finally:
        ask_for(old, 17)
        old.run("up")
        old.wired  # noqa: B018  of 17 again, for the tests that follow
        old.manifest.write_text(text)


def _as_server_user(stead: LiveStead, command: list[str]) -> None:
    user = stead.wired.design.host.server_user
    other = os.geteuid() == 0
    subprocess.run(command, user=user if other else None, cwd="/", check=True)


def test_no_room_for_the_copies_of_a_rehearsal_and_the_upgrade() -> None:
    _in_a_small_place(
        "server", "230m", ("--rehearse", "--unrehearsed"), "there is no room", "MB are free"
    )


def test_a_data_directory_on_a_file_system_of_its_own() -> None:
    ways = ("--rehearse", "--unrehearsed")
    _in_a_small_place("server/data", "600m", ways, "a file system of its own", mode="link")


def _in_a_small_place(
    place: str, size: str, ways: tuple[str, ...], *words: str, mode: str = "copy"
) -> None:
    if not may_mount():
        pytest.skip("only root may mount, and not everywhere")
    with stead_in(link=False, major=17) as stead:
        link_both(stead, 17, 18)
        with namespace(stead) as small:
            small.run("up")
            small.run("down")
            small.mount(stead.state / place, size)
            small.run("up")
            ask_for(stead, 18)
            for way in ways:
                done = small.run("upgrade", way, "--mode", mode, status=3)
                for word in words:
                    assert word in done.stdout
            assert not small.inside(stead.state / "upgrade" / "pending.json").exists()
            ask_for(stead, 17)
            small.run("status")
            small.run("down")
