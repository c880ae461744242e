"""What cannot be is refused with a reason, and all that runs goes on."""

from __future__ import annotations

import socket

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


def test_a_design_that_is_larger_than_the_machine_is_refused(contained: Contained) -> None:
    said = _refused(contained, 'memory = "4GB"', 'memory = "4000GB"', 2)
    assert "memory" in said


def test_a_change_that_restarts_the_server_is_refused_until_it_is_allowed(
    contained: Contained,
) -> None:
    said = _refused(contained, 'memory = "4GB"', 'memory = "3GB"', 3)
    assert "--allow restart" in said
