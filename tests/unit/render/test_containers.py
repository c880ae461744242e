"""compose.yml and the Dockerfile, as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from pgstead.design import containers as designing
from pgstead.manifest.load import parse
from pgstead.render import containers, dockerfiles, monitoring, yaml_text
from tests.unit.design import world

SERVICE = '\n[databases.service]\napplication = "shop.api:create_app"\nport = 8123\n'
OWN = '\n[containers.image]\nbase = "docker.io/library/debian:forky-slim"\nserver = "base"\n'
TAGS: dict[str, str] = dict.fromkeys(("server", "pooler", "toolbox", "service"), "0123")


@pytest.fixture(scope="module", name="told")
def _told() -> Mapping[str, Any]:
    manifest = parse(world.text(more=SERVICE))
    text = containers.compose(designing.composition(manifest, world.host()), TAGS)
    return yaml.safe_load(text)


def test_every_container_is_confined(told: Mapping[str, Any]) -> None:
    for name, service in told["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert all(service[limit] for limit in ("mem_limit", "cpus", "pids_limit")), name
        assert "privileged" not in service, name


def test_no_container_is_told_a_secret_by_its_environment(told: Mapping[str, Any]) -> None:
    names = {n for s in told["services"].values() for n in s.get("environment", {})}
    ours = {name for name in names if not name.startswith("GF_")}
    assert ours == {"TZ", "LC_ALL", "PYTHONUNBUFFERED", "HOME", "PGSTEAD_ALLOW"}
    assert not [name for name in names if "PASSWORD" in name or "SECRET" in name]


def test_the_internal_network_has_no_way_out(told: Mapping[str, Any]) -> None:
    assert told["networks"]["internal"]["internal"] is True
    services = told["services"].items()
    outside = {n for n, s in services if "edge" in s["networks"] and "profiles" not in s}
    assert outside == {"postgres", "pgbouncer", "api-shop"}


def test_server_and_pooler_keep_their_addresses_and_others_know_them(
    told: Mapping[str, Any],
) -> None:
    services = told["services"]
    known: dict[str, str] = {}
    for name in ("postgres", "pgbouncer"):
        internal = services[name]["networks"]["internal"]
        known |= dict.fromkeys(internal["aliases"], internal["ipv4_address"])
    assert services["agent"]["extra_hosts"] == known
    assert services["api-shop"]["extra_hosts"] == known
    (config,) = told["networks"]["internal"]["ipam"]["config"]
    assert set(config) == {"subnet", "ip_range", "gateway"}


def test_the_server_is_stopped_fast_and_given_the_time(told: Mapping[str, Any]) -> None:
    server = told["services"]["postgres"]
    assert (server["stop_signal"], server["stop_grace_period"]) == ("SIGINT", "90s")


def test_who_lasts_has_a_health_check(told: Mapping[str, Any]) -> None:
    for name, service in told["services"].items():
        without = {"prepare", "provision", "collector"}  # the collector's image has no shell
        assert ("healthcheck" in service) == (name not in without), name


def test_each_image_is_built_once(told: Mapping[str, Any]) -> None:
    built = [s["image"] for s in told["services"].values() if "build" in s]
    assert len(built) == len(set(built)) == 4


def test_compose_expands_nothing_in_a_health_check(told: Mapping[str, Any]) -> None:
    assert "$$(find" in told["services"]["agent"]["healthcheck"]["test"][1]


@pytest.mark.parametrize("value", ["a: b", "#", "'", '"', "null", "0.0", "${X}", "ä\n"])
def test_a_text_is_read_as_it_was_written(value: str) -> None:
    tree = {"k e y": value, "list": [value, 1], "rows": [{"a": value, "b": {"c": []}}], "no": {}}
    assert yaml.safe_load(yaml_text.text(tree)) == tree


def test_an_official_image_is_the_newest_release_that_is_known_of() -> None:
    text = dockerfiles.text(dockerfiles.stages(parse(world.text()), (), {}))
    assert "FROM docker.io/library/postgres:18.6-trixie AS server" in text
    assert "postgresql-18-pgaudit" in text


def test_everything_is_built_from_a_base_where_the_manifest_says_so() -> None:
    text = dockerfiles.text(dockerfiles.stages(parse(world.text(more=OWN)), (), {}))
    images = {line.split()[1] for line in text.splitlines() if line.startswith("FROM")}
    assert images == {"docker.io/library/debian:forky-slim", "server"}


def test_the_build_ends_where_pgbouncer_is_too_old() -> None:
    assert "ge 1.25.2" in dockerfiles.text(dockerfiles.stages(parse(world.text()), (), {}))


def test_the_toolbox_has_the_programs_of_both_versions_where_there_is_one_to_upgrade() -> None:
    manifest = parse(world.text())
    assert "upgrade" not in dockerfiles.stages(manifest, (), {})
    stage = dockerfiles.stages(manifest, (), {}, older=17)["upgrade"]
    assert stage.startswith("FROM toolbox AS upgrade\n")
    assert "postgresql-17 postgresql-17-pgaudit" in stage
    assert stage.endswith("USER postgres\n")
    assert "RUN" not in dockerfiles.stages(manifest, (), {}, older=18)["upgrade"]  # the way back


def test_the_pooler_is_the_same_whichever_version_the_server_is_of() -> None:
    older, newer = (
        dockerfiles.stages(parse(world.text(major=major)), (), {}) for major in (17, 18)
    )
    assert older["pooler"] == newer["pooler"]
    assert older["server"] != newer["server"]


def test_no_stage_that_runs_ends_as_root() -> None:
    stages = dockerfiles.text(dockerfiles.stages(parse(world.text()), (), {})).split("\nFROM ")
    for stage in stages[1:]:
        users = [line for line in stage.splitlines() if line.startswith("USER")]
        assert "AS packages" in stage or users[-1] == "USER postgres"


def test_prometheus_scrapes_by_name_and_knows_who_is_to_be_told() -> None:
    manifest = parse(world.text(more=SERVICE))
    files = monitoring.files(designing.expected(manifest, world.host()))
    told = yaml.safe_load(files["monitoring/prometheus/prometheus.yml"])
    targets = [t for job in told["scrape_configs"] for t in job["static_configs"][0]["targets"]]
    assert targets == ["api-shop.internal:8123"]
    assert "alertmanager.internal:9093" in str(told["alerting"])
    assert yaml.safe_load(files["monitoring/prometheus/pgstead.rules.yml"])["groups"]
    collector = yaml.safe_load(files["monitoring/collector.yml"])
    assert collector["receivers"]["otlp"]["protocols"]["http"]["endpoint"] == "0.0.0.0:4318"
