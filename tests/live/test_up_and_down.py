"""up, down, destroy: converge, leave nothing, remove only what is ours."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fix_stead import LiveStead

pytestmark = [pytest.mark.live, pytest.mark.slow]


def processes_of(stead: LiveStead) -> list[str]:
    """Return the command lines of processes that mention the stead or work in it."""
    told: list[str] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            here = str((entry / "cwd").readlink())
        except OSError:
            continue
        if str(stead.directory) in words or here.startswith(str(stead.directory)):
            told.append(words or entry.name)
    return told


def is_open(port: int) -> bool:
    """Say whether somebody listens."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_second_up_finds_nothing_to_change(stead: LiveStead) -> None:
    assert stead.json("plan")["operations"] == []
    told = stead.run("up")
    assert "nothing to change" in told.stdout + told.stderr


def test_down_leaves_no_process_port_or_socket_and_up_finds_the_data_again(
    make_stead: Callable[..., LiveStead],
) -> None:
    stead = make_stead()
    stead.run("up")
    with stead.superuser("jeex_idea") as connection:
        connection.execute("INSERT INTO users (email, name) VALUES ('kept@example.org', 'kept')")
    stead.run("down")
    assert processes_of(stead) == []
    ports = (stead.direct_port, stead.pooler_port, stead.api_port)
    assert [port for port in ports if is_open(port)] == []
    left = [path for path in stead.state.rglob("*") if path.is_socket() or path.suffix == ".pid"]
    assert left == []
    stead.run("down")  # a second one is no error
    stead.run("up")
    with stead.superuser("jeex_idea") as connection:
        found = connection.execute("SELECT FROM users WHERE name = 'kept'")
        assert found.rowcount == 1


def test_destroy_asks_and_removes_only_what_pgstead_made(
    make_stead: Callable[..., LiveStead],
) -> None:
    stead = make_stead()
    stead.run("up")
    mine = stead.state / "notes of mine.txt"
    mine.write_text("keep me")
    refused = stead.run("destroy", status=None)
    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    stead.run("destroy", "--yes")
    assert mine.read_text() == "keep me"
    assert [path.name for path in stead.state.iterdir()] == [mine.name]
    assert stead.manifest.exists()
    assert processes_of(stead) == []
