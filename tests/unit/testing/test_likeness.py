"""What a stead for tests has in common with the manifest's."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from pgstead.design import likeness
from pgstead.errors import UsageError
from pgstead.manifest.document import Manifest
from pgstead.manifest.load import parse
from pgstead.testing import host
from pgstead.testing.place import LEASE, REQUEST

PRODUCTION = """
version = 1
name = "shop"
environment = "production"
state = "/srv/shop"

[server]
port = 5432
memory = "64GB"

[server.settings]
archive_command = { value = "push %p", reason = "backups" }
max_connections = { value = "900", reason = "many" }
random_page_cost = { value = "1.05", reason = "nvme" }

[networks]
allow = ["10.0.0.0/8"]
listen = ["10.0.0.5"]

[tls]
ca = "/etc/ca.pem"
certificate = "/etc/shop.pem"
key = "/etc/shop.key"

[[databases]]
name = "shop"

[databases.timeouts]
statement = "7s"

[databases.service]
application = "shop.api:create_app"
port = 8000

[[databases]]
name = "stock"
"""


def made(workers: int = 1) -> Manifest:
    manifest = parse(PRODUCTION)
    entry = likeness.entry_of(manifest, "shop")
    return likeness.manifest_of(manifest, entry, direct=20001, pooler=20002, workers=workers)


def test_what_belongs_to_the_machine_is_left_behind() -> None:
    found = made()
    assert found.state == ""
    assert found.networks.listen == ()
    assert found.tls.certificate == ""
    assert "archive_command" not in found.server.settings
    assert (found.server.port, found.pooler.port) == (20001, 20002)
    assert [entry.service for entry in found.databases] == [None]


def test_what_an_application_notices_stays() -> None:
    found = made()
    assert found.server.settings["random_page_cost"].value == "1.05"
    assert found.databases[0].timeouts.statement == 7
    assert found.databases[0].app == "shop_app"


def test_every_worker_gets_its_share_of_connections() -> None:
    one, many = made(1).pooler.settings, made(8).pooler.settings
    name = "max_user_connections"
    assert int(many[name].value) == 8 * int(one[name].value)
    assert made(8).server.settings["max_connections"].value == "800"


def test_a_manifest_with_several_databases_asks_for_a_name() -> None:
    with pytest.raises(UsageError, match=r"several databases \(shop, stock\)") as caught:
        likeness.entry_of(parse(PRODUCTION), "")
    assert 'pgstead_database = "shop"' in caught.value.hint


def test_what_a_killed_host_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    for name in ("pgtest-abandoned", "pgtest-held", "pgtest-foreign"):
        (tmp_path / name).mkdir()
    for name in ("abandoned", "held"):
        (tmp_path / f"pgtest-{name}" / REQUEST).write_text("{}")
    with host.Place(tmp_path / "pgtest-held").held(LEASE, host.fcntl.LOCK_SH):
        host.sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pgtest-foreign", "pgtest-held"]


def test_what_tests_and_host_share_is_for_their_user_alone(tmp_path: Path) -> None:
    place = host.Place(tmp_path)
    os.close(place.lock(LEASE, host.fcntl.LOCK_SH))
    assert stat.S_IMODE((tmp_path / LEASE).stat().st_mode) == 0o600
