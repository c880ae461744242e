"""The state directory: where it lies, whose it is, who holds it."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from pgstead.app.encryption import PersonFiles
from pgstead.app.encryption.place import Owner
from pgstead.errors import BusyError, ForeignStateError, StateDirectoryError
from pgstead.host import facts, files, state
from pgstead.host.files import LocalFiles
from pgstead.host.journal import JsonJournal
from pgstead.model.layout import Layout

HOST = facts.gather()
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="root only")
as_user = pytest.mark.skipif(os.geteuid() == 0, reason="ordinary users only")


@pytest.fixture
def checkout() -> Iterator[Path]:
    """A short directory that everybody can enter, with a nasty name."""
    above = Path(tempfile.mkdtemp(prefix="st-", dir="/tmp"))
    above.chmod(0o755)
    place = above / '50% o\'f "x"'
    place.mkdir()
    yield place
    shutil.rmtree(above)


@pytest.fixture
def layout(checkout: Path) -> Layout:
    """A prepared state directory."""
    found = state.locate(checkout, None, HOST)
    state.prepare(found, HOST)
    return found


def test_the_state_lies_beside_the_manifest(checkout: Path) -> None:
    assert state.locate(checkout, None, HOST).state == PurePosixPath(checkout / ".pgstead")
    assert not (checkout / ".pgstead").exists(), "looking made something"


def test_the_manifest_may_name_another_place(checkout: Path) -> None:
    found = state.locate(checkout, "../else where", HOST)
    assert Path(found.state).resolve() == checkout.parent / "else where"


@as_root
def test_a_checkout_that_the_servers_cannot_enter_has_its_state_elsewhere(checkout: Path) -> None:
    checkout.parent.chmod(0o700)
    layout = state.locate(checkout, None, HOST)
    assert layout.state.parent == PurePosixPath("/var/lib/pgstead")
    try:
        state.prepare(layout, HOST)
        assert (checkout / ".pgstead" / "location").read_text() == f"{layout.state}\n"
        checkout.parent.chmod(0o755)
        assert state.locate(checkout, None, HOST) == layout, "the pointer was not followed"
    finally:
        shutil.rmtree(layout.state)


@as_root
def test_a_named_place_that_the_servers_cannot_enter_is_refused(checkout: Path) -> None:
    closed = checkout.parent / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(StateDirectoryError, match="cannot enter the state directory"):
        state.locate(checkout, str(closed / "state"), HOST)


@as_root
def test_a_data_directory_that_got_closed_is_not_silently_replaced(checkout: Path) -> None:
    data = checkout / ".pgstead" / "server" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("18\n")
    checkout.parent.chmod(0o700)
    with pytest.raises(StateDirectoryError, match="can no longer enter it"):
        state.locate(checkout, None, HOST)


def test_a_path_too_long_for_a_socket_is_refused(checkout: Path) -> None:
    with pytest.raises(StateDirectoryError, match="too long for a Unix socket") as caught:
        state.locate(checkout, "x" * 100, HOST)
    assert "state = " in caught.value.hint


def test_a_path_that_clients_cannot_name_is_refused(checkout: Path) -> None:
    with pytest.raises(StateDirectoryError, match="no PostgreSQL client"):
        state.locate(checkout, "a,b", HOST)


@as_root
def test_servers_own_what_they_write_and_nothing_else(layout: Layout) -> None:
    assert Path(layout.server).owner() == HOST.server_user
    assert Path(layout.state).owner() == "root"
    assert stat.S_IMODE(Path(layout.socket).stat().st_mode) == 0o700
    assert stat.S_IMODE(Path(layout.secrets).stat().st_mode) == 0o700


def test_preparing_twice_changes_nothing(layout: Layout) -> None:
    def seen() -> list[tuple[str, int, int]]:
        places = sorted(Path(layout.state).rglob("*"))
        return [(str(p), p.stat().st_mode, p.stat().st_uid) for p in places]

    before = seen()
    state.prepare(layout, HOST)
    assert seen() == before


@as_user
def test_an_unwritable_place_is_refused(checkout: Path) -> None:
    checkout.chmod(0o555)
    try:
        with pytest.raises(StateDirectoryError, match="permission denied"):
            state.prepare(state.locate(checkout, None, HOST), HOST)
    finally:
        checkout.chmod(0o755)


@pytest.fixture
def small(checkout: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    place = checkout / "small"
    place.mkdir(mode=0o755)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,mode=755", "none", place], check=False
    )
    if mounted.returncode != 0:
        pytest.skip("this machine lets nobody mount a file system")
    yield place
    subprocess.run(["umount", place], check=True)


@as_root
def test_a_place_without_room_for_a_cluster_is_refused(small: Path) -> None:
    with pytest.raises(StateDirectoryError, match="nearly full"):
        state.prepare(state.locate(small, None, HOST), HOST)


@as_root
def test_a_full_file_system_is_said_and_leaves_the_old_file(small: Path) -> None:
    local = LocalFiles(PurePosixPath(small))
    local.write(PurePosixPath("a"), "old")
    with pytest.raises(StateDirectoryError, match="no space left") as caught:
        local.write(PurePosixPath("a"), "x" * 2_000_000)
    assert "df -h" in caught.value.hint
    found = local.read(PurePosixPath("a"))
    assert found is not None
    assert found.text == "old"
    assert [path.name for path in small.iterdir()] == ["a"]


def test_an_identity_is_kept_once_it_was_stored(layout: Layout) -> None:
    first = state.identify(layout, "shop", 18)
    assert state.identify(layout, "shop", 18).stead_id != first.stead_id
    state.remember(layout, first)
    assert state.identify(layout, "shop", 18) == first


def test_another_steads_state_is_refused(layout: Layout) -> None:
    state.remember(layout, state.identify(layout, "shop", 18))
    with pytest.raises(ForeignStateError, match="belongs to the stead 'shop', not to 'depot'"):
        state.identify(layout, "depot", 18)


def test_another_major_version_is_refused_once_there_is_data(layout: Layout) -> None:
    state.remember(layout, state.identify(layout, "shop", 17))
    assert state.identify(layout, "shop", 18).major == 18
    Path(layout.data).mkdir()
    Path(layout.data, "PG_VERSION").write_text("17\n")
    with pytest.raises(ForeignStateError, match=r"is of PostgreSQL 17.*asks for 18"):
        state.identify(layout, "shop", 18)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": "shop"}', "null"])
def test_a_torn_identity_is_refused(layout: Layout, text: str) -> None:
    Path(layout.identity).write_text(text)
    with pytest.raises(ForeignStateError, match="cannot be read as the identity"):
        state.identify(layout, "shop", 18)


HOLD = """
import sys, time
from pathlib import Path, PurePosixPath
from pgstead.host import state
from pgstead.model.layout import Layout
with state.lock(Layout(PurePosixPath(sys.argv[1]), PurePosixPath(sys.argv[1])), "pgstead up"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_one_command_at_a_time_and_the_holder_is_named(layout: Layout) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(layout.state)], stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    with holder, holder.stdout:
        holder.stdout.readline()
        with (
            pytest.raises(BusyError, match=rf"`pgstead up` \(pid {holder.pid}"),
            state.lock(layout),
        ):
            raise AssertionError("two held the lock")
        holder.kill()
    with state.lock(layout, "next"):
        assert "next" in Path(layout.lock).read_text()


def test_files_have_the_mode_that_was_asked_for_whatever_the_umask(layout: Layout) -> None:
    local = LocalFiles(layout.state)
    old = os.umask(0o077)
    try:
        local.write(PurePosixPath("deep/er/file"), "x", mode=0o644)
        local.make_directory(PurePosixPath("open"), mode=0o755)
    finally:
        os.umask(old)
    assert local.mode(PurePosixPath("deep/er/file")) == 0o644
    assert local.mode(PurePosixPath("open")) == 0o755


def test_a_link_where_a_file_is_written_is_replaced_and_not_followed(
    layout: Layout, checkout: Path
) -> None:
    victim = checkout / "victim"
    victim.write_text("mine")
    Path(layout.server, "pgstead.conf").symlink_to(victim)
    local = LocalFiles(layout.state)
    assert local.read(PurePosixPath("server/pgstead.conf")) is None
    local.write(PurePosixPath("server/pgstead.conf"), "ours")
    assert victim.read_text() == "mine"
    Path(layout.state, "tree").symlink_to(checkout)
    with pytest.raises(StateDirectoryError):
        local.make_directory(PurePosixPath("tree"), mode=0o777)
    local.remove(PurePosixPath("tree"))
    assert victim.exists()


def test_text_comes_back_as_it_was_written(layout: Layout) -> None:
    local, path = LocalFiles(layout.state), PurePosixPath("t")
    for text in ("", "ü\r\nb\n", "no newline", "\udcff"):
        local.write(path, text)
        found = local.read(path)
        assert found is not None
        assert found.text == text


def test_sweeping_takes_only_what_is_empty(layout: Layout) -> None:
    local, place = LocalFiles(layout.state), PurePosixPath("x")
    assert local.sweep(place) == ()
    local.write(place / "kept", "")
    assert local.sweep(place) == (layout.state / "x" / "kept",)
    local.remove(place / "kept")
    assert local.sweep(place) == ()
    assert local.mode(place) is None


def test_a_line_that_a_crash_cut_short_does_not_swallow_the_next(layout: Layout) -> None:
    journal = JsonJournal(layout.journal)
    journal.record("first", at="role:a'b")
    with Path(layout.journal).open("a") as file:
        file.write('{"event": "tor')
    journal.record("second")
    assert [event["event"] for event in journal.events()] == ["first", "second"]
    assert stat.S_IMODE(Path(layout.journal).stat().st_mode) == 0o600


def test_directories_are_synced_without_complaint(layout: Layout) -> None:
    began = time.monotonic()
    files.sync_directory(layout.state)
    assert time.monotonic() - began < 5


@as_root
def test_secrets_of_persons_belong_to_whom_applications_run_as_also_where_root_unpacked_them(
    layout: Layout,
) -> None:
    persons = Path(layout.persons)
    assert (persons.owner(), stat.S_IMODE(persons.stat().st_mode)) == (HOST.service_user, 0o700)
    # by root, what is made in a directory belongs to whom the directory does
    made = PersonFiles(persons / "shop").path(Owner("public.users", "1"))
    PersonFiles(persons / "shop").make(Owner("public.users", "1"))
    tree = (made, made.parent, made.parent.parent)
    assert {path.owner() for path in tree} == {HOST.service_user}
    for path in tree:
        os.chown(path, 0, 0)
    state.prepare(layout, HOST)
    assert {path.owner() for path in tree} == {HOST.service_user}


def test_a_lock_that_destroy_removes_while_it_is_taken_is_taken_anew(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    take, removed = fcntl.flock, list[bool]()

    def destroyed_before(handle: int, how: int) -> None:
        if not removed:
            Path(layout.lock).unlink()
            removed.append(True)
        take(handle, how)

    monkeypatch.setattr(fcntl, "flock", destroyed_before)
    with state.lock(layout, "pgstead up"):
        assert removed
        with pytest.raises(BusyError, match="pgstead up"), state.lock(layout, "pgstead down"):
            pytest.fail("two commands hold two locks of one name")
