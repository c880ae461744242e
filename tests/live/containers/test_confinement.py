"""What a stranger may reach, what a container may do, and where passwords are not."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest

from tests.live.containers.contained import LASTING, PROJECT, Contained


@pytest.mark.parametrize("service", LASTING)
def test_nobody_in_a_container_is_root_or_may_become_it(contained: Contained, service: str) -> None:
    status = contained.compose("exec", "-T", service, "cat", "/proc/self/status").decode()
    told = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert set(told["Uid"].split()) == {"999"}
    assert int(told["CapEff"], 16) == 0
    assert int(told["CapBnd"], 16) == 0
    assert told["NoNewPrivs"] == "1"
    contained.compose("exec", "-T", service, "sh", "-c", "! touch /etc/x 2>/dev/null")


def test_no_password_is_told_by_the_engine_an_image_or_a_log(contained: Contained) -> None:
    listed = "for f in /var/lib/pgstead/secrets/*; do cat $f; echo; done"
    secrets = contained.compose("exec", "-T", "agent", "sh", "-c", listed).split()
    assert len(secrets) >= 8
    told = contained.compose("logs", "--no-color")
    for service, name in contained.names().items():
        told += _said("docker", "inspect", name)
        if service in LASTING:
            told += contained.compose("exec", "-T", service, "env")
    reference = f"reference=*{PROJECT}*"
    for image in set(_said("docker", "images", "--quiet", "--filter", reference).split()):
        told += _said("docker", "history", "--no-trunc", image.decode())
        told += _said("docker", "image", "inspect", image.decode())
    for path in contained.directory.rglob("*"):
        if path.is_file() and "wheels" not in path.parts:
            told += path.read_bytes()
    assert len(told) > 100_000
    assert not [index for index, secret in enumerate(secrets) if secret in told]


def _said(*words: str) -> bytes:
    return subprocess.run(words, capture_output=True, check=True).stdout


def test_a_service_sees_the_passwords_of_its_roles_alone(contained: Contained) -> None:
    listed = contained.compose(
        "exec", "-T", "api-jeex-idea", "ls", "/var/lib/pgstead", "/var/lib/pgstead/passfiles"
    ).decode()
    assert {"jeex_user", "jeex_readonly", "jeex_admin"} <= set(listed.split())
    assert not {"jeex_migrator", "pgstead_backup", "secrets", "server"} & set(listed.split())


def test_only_the_ports_of_the_manifest_are_published_and_on_loopback(
    contained: Contained,
) -> None:
    stead = contained.stead
    found = {
        (binding["HostIp"], int(binding["HostPort"]))
        for service in contained.names()
        for bindings in (contained.inspected(service)["HostConfig"]["PortBindings"] or {}).values()
        for binding in bindings
    }
    stated = {stead.direct_port, stead.pooler_port, stead.api_port}
    assert found == {("127.0.0.1", port) for port in stated}
    for port in stated:
        socket.create_connection(("127.0.0.1", port), 5).close()
        for address in _other_addresses():
            with socket.socket() as probe:
                probe.settimeout(2)
                assert probe.connect_ex((address, port)), f"{address}:{port} is open"


def _other_addresses() -> list[str]:
    """Return this machine's addresses on networks that others are on."""
    told = subprocess.run(["hostname", "--all-ip-addresses"], capture_output=True, check=True)
    found = [address for address in told.stdout.decode().split() if ":" not in address]
    return [address for address in found if not address.startswith("10.213.")]


def test_no_container_listens_for_others_but_on_what_the_design_names(
    contained: Contained,
) -> None:
    wanted = {"postgres": {5432}, "pgbouncer": {6432}, "agent": set(), "wal-receiver": set()}
    wanted["api-jeex-idea"] = {contained.stead.api_port}
    tables = "cat /proc/net/tcp /proc/net/tcp6 2>/dev/null"
    for service, ports in wanted.items():
        rows = contained.compose("exec", "-T", service, "sh", "-c", tables).decode().splitlines()
        words = [row.split() for row in rows if "local_address" not in row]
        listening = [row[1] for row in words if row[3] == "0A"]
        found = {int(place.rpartition(":")[2], 16) for place in listening if not _own(place)}
        assert found == ports, service


def _own(place: str) -> bool:
    """Say whether an address of /proc/net/tcp is loopback: 127.x, or the engine's DNS on it."""
    return place.startswith(("00000000000000000000000001000000:",)) or place[6:8] == "7F"


def test_what_has_no_published_port_reaches_nothing_outside(contained: Contained) -> None:
    for service in ("agent", "wal-receiver"):
        routes = contained.compose("exec", "-T", service, "cat", "/proc/net/route").decode()
        default = [row for row in routes.splitlines()[1:] if row.split()[1] == "00000000"]
        assert not default, service


def test_the_directory_that_is_built_from_holds_no_key(contained: Contained) -> None:
    found = [
        path.name
        for path in Path(contained.directory).rglob("*")
        if path.suffix in {".key", ".pem"} or path.name in {"pgpass", ".pgpass"}
    ]
    assert found == []
