"""What cannot be is refused with a reason, and all that runs goes on."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path

import pytest

from tests.live.containers.contained import Contained


def test_a_port_that_is_taken_is_said_and_nothing_is_touched(contained: Contained) -> None:
    port = contained.stead.api_port
    contained.compose("stop", "api-jeex-idea")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        probe.listen()
        before = contained.rows()
        said = contained.run("up", status=1).stderr
        assert f"port {port} of api-jeex-idea is taken" in said
        assert {r["Service"]: r["ID"] for r in contained.rows()} == {
            r["Service"]: r["ID"] for r in before
        }
    contained.run("up")


def _refused(contained: Contained, old: str, new: str, status: int) -> str:
    """Have `up` refuse a changed manifest; nothing that runs is another one afterwards."""
    manifest = contained.stead.manifest
    text, before = manifest.read_text(), {r["Service"]: r["ID"] for r in contained.rows()}
    assert old in text
    manifest.write_text(text.replace(old, new, 1))
    try:
        said = contained.run("up", status=status).stderr
        assert {r["Service"]: r["ID"] for r in contained.rows()} == before
        assert set(contained.health().values()) <= {"healthy", "exited", "running"}
    finally:
        manifest.write_text(text)
    return said


def test_a_volume_of_another_major_version_is_refused(contained: Contained) -> None:
    said = _refused(contained, "major = 18", "major = 17", 1)
    assert "18" in said
    assert "17" in said


def test_a_digest_that_is_wrong_is_refused(contained: Contained) -> None:
    wrong = f"docker.io/library/debian@sha256:{'0' * 64}"
    said = _refused(contained, 'server = "base"', f'server = "{wrong}"', 1)
    assert "error: " in said
    assert "nothing that runs was touched" in said


# The engine of another machine, which has 1 GB: all but what it says of itself is this one's.
_SMALLER = """#!/bin/sh
if [ "$1" = info ]; then echo "1073741824 2"; else exec {docker} "$@"; fi
"""


def test_a_machine_that_is_smaller_than_the_design_is_refused(
    contained: Contained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, smaller = _ids(contained), tmp_path / "docker"
    smaller.write_text(_SMALLER.format(docker=shutil.which("docker")))
    smaller.chmod(0o755)
    with monkeypatch.context() as patched:
        patched.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        told = json.loads(contained.run("up", "--json", status=2).stdout)
    assert "the container engine's machine has 1.0 GB" in told["message"]
    assert "server.memory" in told["hint"]
    assert _ids(contained) == before


def test_memory_that_is_too_little_for_the_design_is_refused(contained: Contained) -> None:
    said = _refused(contained, 'memory = "4GB"', 'memory = "64MB"', 2)
    assert "the memory does not add up" in said


def test_a_change_that_restarts_the_server_is_refused_until_it_is_allowed(
    contained: Contained,
) -> None:
    said = _refused(contained, 'memory = "4GB"', 'memory = "3GB"', 3)
    assert "--allow restart" in said


def _ids(contained: Contained) -> dict[str, str]:
    return {row["Service"]: row["ID"] for row in contained.rows()}


def test_a_machine_without_docker_is_told_so(
    contained: Contained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setenv("PATH", str(tmp_path))
        told = json.loads(contained.run("up", "--json", status=1).stdout)
    assert told["error"] == "missing-compose"
    assert "docs.docker.com" in told["hint"]


def test_a_compose_that_is_too_old_is_told_so(
    contained: Contained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "docker-compose"
    old.write_text("#!/bin/sh\necho 1.29.2\n")
    old.chmod(0o755)
    with monkeypatch.context() as patched:
        patched.setenv("PATH", f"{tmp_path}:/bin")
        told = json.loads(contained.run("up", "--json", status=1).stdout)
    assert "1.29" in told["message"]


def test_an_engine_that_does_not_answer_is_told_so(
    contained: Contained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _ids(contained)
    with monkeypatch.context() as patched:
        patched.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
        told = json.loads(contained.run("up", "--json", status=1).stdout)
    assert "DOCKER_HOST" in told["hint"]
    assert _ids(contained) == before


def test_an_image_that_no_registry_can_be_asked_for_is_told_so(contained: Contained) -> None:
    nowhere = "registry.invalid/library/postgres:18"
    said = _refused(contained, 'server = "base"', f'server = "{nowhere}"', 1)
    assert "nothing that runs was touched" in said
    assert "network" in said
