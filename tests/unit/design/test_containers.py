"""The containers of a stead, as a value."""

from __future__ import annotations

import ipaddress

import pytest

from pgstead.design import brought, containers, memory, upgrade_container
from pgstead.errors import ManifestError
from pgstead.manifest.document import Manifest
from pgstead.manifest.load import parse
from pgstead.model.containers import (
    BROUGHT,
    CLUSTER,
    PROFILES,
    STEAD,
    UPGRADE,
    WATCHERS,
    Composition,
    Container,
    Until,
)
from tests.unit.design import world

SERVICE = '\n[databases.service]\napplication = "shop.api:create_app"\nport = 8123\n'


STORE = f"{SERVICE}\n[containers]\nstore = true\n"
NAMED = f"""{SERVICE}
[tls]
ca = "c"
certificate = "s"
key = "k"

[backup]
passphrase_file = "p"

[backup.s3]
bucket = "kept"
endpoint = "https://s3.example.net"
access_key_file = "a"
secret_key_file = "x"
ca_file = "w"

[alerts]
targets_file = "t"
heartbeat_file = "h"

[[alerts.targets]]
name = "ops"
url_file = "u"
"""


def _manifest(more: str = SERVICE) -> Manifest:
    return parse(world.text(more=more))


def _composition(more: str = SERVICE) -> Composition:
    return containers.composition(_manifest(more), world.host())


@pytest.fixture(scope="module", name="all_of_them")
def _all_of_them() -> tuple[Container, ...]:
    return _composition().containers


def test_nobody_runs_as_root(all_of_them: tuple[Container, ...]) -> None:
    assert {c.user for c in all_of_them if c.built} == {"999:999"}
    assert not {c.name for c in all_of_them if c.user.partition(":")[0] in ("", "0")}


def test_only_the_ports_of_the_manifest_are_published_and_on_loopback() -> None:
    published = [p for c in _composition().containers if not c.profile for p in c.published]
    assert {(p.address, p.port) for p in published} == {
        ("127.0.0.1", 5432), ("127.0.0.1", 6432), ("127.0.0.1", 8123),
    }  # fmt: skip


def test_ports_are_published_elsewhere_where_the_manifest_says_so() -> None:
    told = _composition(SERVICE + '\n[containers]\npublish = "192.0.2.7"\n')
    assert {p.address for c in told.containers for p in c.published} == {"192.0.2.7"}


def test_the_server_may_use_what_its_design_was_sized_for() -> None:
    bound, _ = memory.limit(_manifest(), world.host())
    assert _composition().container("postgres").limits.memory == bound


def test_a_service_sees_nothing_of_the_state_but_what_it_is_handed() -> None:
    mounts = _composition().container("api-shop").mounts
    # an application makes the secret of a person whose first value it writes
    assert {m.source for m in mounts if not m.read_only} == {"persons"}
    assert {m.source for m in mounts if m.read_only} == {"api-shop", "telemetry"}


def test_server_and_pooler_see_their_own_certificates_alone() -> None:
    seen = {
        name: {m.source for m in _composition().container(name).mounts}
        for name in ("postgres", "pgbouncer")
    }
    assert seen == {
        "postgres": {"postgresql", "postgres-tls"},
        "pgbouncer": {"pooler", "pgbouncer-tls"},
    }


def test_the_cluster_lies_where_images_of_18_declare_their_volume() -> None:
    assert CLUSTER in {m.target for m in _composition().container("postgres").mounts}
    assert CLUSTER == "/var/lib/postgresql"


def test_who_needs_databases_waits_until_they_are_provisioned() -> None:
    told = _composition()
    for name in ("agent", "wal-receiver", "api-shop"):
        assert told.container(name).waits == {"provision": Until.DONE}
    assert told.container("provision").waits["postgres"] is Until.HEALTHY


def test_the_two_networks_do_not_overlap_and_fill_the_one_that_is_named() -> None:
    told = _composition()
    internal, edge = map(ipaddress.IPv4Network, (told.internal, told.edge))
    assert not internal.overlaps(edge)
    assert list(ipaddress.collapse_addresses([internal, edge])) == [
        ipaddress.IPv4Network("10.213.52.0/24")
    ]


@pytest.mark.parametrize("network", ["10.213.52.0/24", "10.213.52.64/26"])
@pytest.mark.parametrize("name", ["postgres", "pgbouncer"])
def test_server_and_pooler_keep_their_addresses_and_the_engine_gives_them_to_nobody(
    network: str, name: str
) -> None:
    told = _composition(f'{SERVICE}\n[containers]\nnetwork = "{network}"\n')
    address = told.container(name).address
    kept = ipaddress.IPv4Address(address)
    internal, given = map(ipaddress.IPv4Network, (told.internal, told.given))
    assert given.subnet_of(internal)
    assert kept in internal
    assert kept not in given
    assert told.gateway not in {address, str(internal[0])}
    assert ipaddress.IPv4Address(told.gateway) not in given
    others = [c for c in told.containers if c.name != name]
    assert [c.address for c in others].count(address) == 0


def test_ours_know_server_and_pooler_without_asking_the_engines_dns() -> None:
    told = upgrade_container.added(_composition(SERVICE))
    known = {c.alias: c.address for c in map(told.container, ("postgres", "pgbouncer"))}
    ours = [c for c in told.containers if c.built]
    assert {c.name for c in ours} >= {"provision", "agent", "wal-receiver", "api-shop", "upgrade"}
    for container in ours:
        assert container.hosts == {n: a for n, a in known.items() if n != container.alias}


def test_without_a_pooler_nobody_is_told_of_one() -> None:
    told = _composition("[pooler]\nenabled = false\n")
    server = told.container("postgres")
    assert told.container("agent").hosts == {server.alias: server.address}


def test_without_backups_there_is_no_receiver() -> None:
    names = {c.name for c in _composition(f"{SERVICE}\n[backup]\nenabled = false\n").containers}
    assert "wal-receiver" not in names
    assert "agent" in names


@pytest.mark.parametrize("key", ["backup", "backup.export"])
def test_a_directory_that_containers_cannot_see_is_refused(key: str) -> None:
    with pytest.raises(ManifestError) as caught:
        containers.inside(_manifest(f'{SERVICE}\n[{key}]\ndirectory = "kept"\n'))
    assert caught.value.key == f"{key}.directory"


FILES = f'files = "exports"\n{SERVICE}'


def test_files_that_rows_name_are_a_volume_of_the_service_and_of_who_removes_them() -> None:
    told = containers.composition(_manifest(FILES), world.host(), f"{STEAD}/deep")
    sees = {c.name for c in told.containers for m in c.mounts if m.source == "files-shop"}
    assert sees == {"api-shop", "prepare", "provision", "agent", "wal-receiver"}
    places = {m.target for c in told.containers for m in c.mounts if m.source == "files-shop"}
    assert places == {f"{STEAD}/deep/exports"}


@pytest.mark.parametrize("place", ["/srv/exports", "../exports", "."])
def test_files_that_containers_cannot_see_are_refused(place: str) -> None:
    with pytest.raises(ManifestError, match="below the manifest's own directory"):
        containers.inside(_manifest(FILES.replace('"exports"', f'"{place}"')))


def test_every_file_that_the_manifest_names_is_seen_where_it_was_brought() -> None:
    named = brought.files(_manifest(NAMED))
    assert set(named.values()) == {"c", "s", "k", "p", "a", "x", "w", "t", "h", "u"}
    seen = brought.files(containers.inside(_manifest(NAMED)))
    assert seen == {key: f"{BROUGHT}/{key}" for key in named}


def test_a_file_that_is_not_named_is_not_looked_for() -> None:
    assert brought.files(containers.inside(_manifest())) == {}


def test_nobody_but_who_asks_somebody_outside_has_a_way_out() -> None:
    assert not any(c.outward for c in _composition().containers)
    assert {c.name for c in _composition(NAMED).containers if c.outward} == {"agent", "provision"}
    assert not any(c.outward for c in _composition(STORE).containers)


def test_a_store_of_ours_is_started_with_the_others_and_holds_the_copy() -> None:
    told = _composition(STORE)
    assert told.container("store").profile == "store"
    assert not told.container("store").published
    mirror = containers.expected(_manifest(STORE), world.host()).backup
    assert mirror is not None
    assert mirror.mirror is not None
    assert mirror.mirror.endpoint == "https://store.internal:7070"
    assert "store" not in {c.name for c in _composition().containers}


def test_a_store_of_ours_sees_its_keys_and_its_own_certificate_alone() -> None:
    seen = {m.source for m in _composition(STORE).container("store").mounts}
    assert seen == {"store", "store-tls"}


def test_a_copy_is_kept_in_one_place() -> None:
    with pytest.raises(ManifestError) as caught:
        containers.inside(_manifest(NAMED + "\n[containers]\nstore = true\n"))
    assert caught.value.key == "containers.store"


@pytest.mark.parametrize("network", ["8.8.8.0/24", "10.1.2.0/28", "fd00::/64", "10.1.2.3/24"])
def test_a_network_that_containers_cannot_have_is_refused(network: str) -> None:
    with pytest.raises(ManifestError):
        _manifest(f'\n[containers]\nnetwork = "{network}"\n')


def test_names_of_databases_become_names_of_hosts() -> None:
    assert containers.label("Straße & Co_1") == "stra-e-co-1"


def test_who_watches_is_there_only_when_asked_for() -> None:
    profiles = {c.name: c.profile for c in _composition().containers if c.profile}
    assert profiles == {
        "collector": "collector",
        "prometheus": "monitoring",
        "alertmanager": "monitoring",
        "grafana": "grafana",
    }


def test_who_watches_is_reached_where_the_manifest_says() -> None:
    told = _composition(f"{SERVICE}\n[containers.ports]\nprometheus = 9190\ngrafana = 3100\n")
    found = {
        name: (told.container(name).published[0].where, told.container(name).published[0].target)
        for name in ("prometheus", "alertmanager", "grafana")
    }
    assert found == {
        "prometheus": ("127.0.0.1:9190", 9090),
        "alertmanager": ("127.0.0.1:9093", 9093),
        "grafana": ("127.0.0.1:3100", 3000),
    }


def test_each_profile_is_known_to_what_ends_all_of_them() -> None:
    watchers = ", ".join(f'"{name}"' for name in WATCHERS)
    told = _composition(f"{SERVICE}\n[containers]\nstore = true\nprofiles = [{watchers}]\n")
    profiles = {c.profile for c in upgrade_container.added(told).containers} - {""}
    assert profiles == set(PROFILES)
    assert set(told.profiles) == set(PROFILES) - {UPGRADE}


def test_who_is_asked_to_watch_is_started_with_the_others() -> None:
    watched = f'{SERVICE}\n[containers]\nprofiles = ["monitoring", "monitoring"]\n'
    told, alone = _composition(watched), _composition()
    assert told.profiles == ("monitoring",)
    assert {c.name for c in told.started} - {c.name for c in alone.started} == {
        "prometheus",
        "alertmanager",
    }


def test_what_upgrades_sees_what_the_toolbox_sees_and_is_there_only_when_asked_for() -> None:
    told = upgrade_container.added(_composition())
    upgrades, toolbox = told.container("upgrade"), told.container("provision")
    assert upgrades.mounts == toolbox.mounts
    assert upgrades.user == toolbox.user
    assert upgrades.limits.memory >= told.container("postgres").limits.memory
    assert upgrades not in told.started


def test_the_design_that_is_expected_reaches_services_by_name() -> None:
    design = containers.expected(_manifest(), world.host())
    assert [s.host for s in design.services] == ["api-shop.internal"]
    assert design.settings["listen_addresses"] == "0.0.0.0"
