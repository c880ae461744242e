"""Who watches beside: Prometheus and Alertmanager, started by the manifest.

No registry is in reach where this runs: Debian's packages of both stand for the official images,
whose user, directories and `wget` they are given.
"""

from __future__ import annotations

import json
import subprocess
import time
import tomllib
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.free_ports import free_ports
from tests.live.containers.contained import IMAGES, Contained, contained_stead

IMAGE = "localhost/pgstead-tests-{}:1"
_BUILT = """\
FROM docker.io/library/debian:forky-slim
RUN apt-get update && apt-get install -y --no-install-recommends wget prometheus \
 prometheus-alertmanager && rm -rf /etc/prometheus && install -d -o 65534 -g 65534 /{home}
USER 65534:65534
ENTRYPOINT ["/usr/bin/{program}"]
"""
WATCHED = f"""
prometheus = "{IMAGE.format("prometheus")}"
alertmanager = "{IMAGE.format("alertmanager")}"
"""
PROFILES = 'profiles = ["monitoring"]\n'
PORTS = "ports.prometheus = {}\nports.alertmanager = {}\n"


def _build(place: Path) -> None:
    for name, program in (
        ("prometheus", "prometheus"),
        ("alertmanager", "prometheus-alertmanager"),
    ):
        (place / "Dockerfile").write_text(_BUILT.format(home=name, program=program))
        words = ["docker", "build", "--tag", IMAGE.format(name), str(place)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.fixture(scope="module", name="watched")
def _watched(_engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Contained]:
    _build(tmp_path_factory.mktemp("images"))
    given = f"[containers]\n{PROFILES}{PORTS.format(*free_ports(2))}"
    images = IMAGES.replace("[containers]\n", given, 1) + WATCHED
    with contained_stead("test-watched", part=59, images=images) as found:
        found.run("up")
        found.wait_until_healthy()
        yield found


def _where(watched: Contained) -> str:
    ports = tomllib.loads(watched.stead.manifest.read_text())["containers"]["ports"]
    return f"127.0.0.1:{ports['prometheus']}"


def _prometheus(watched: Contained, path: str) -> Any:
    with urllib.request.urlopen(f"http://{_where(watched)}/api/v1/{path}", timeout=10) as answer:
        return json.load(answer)["data"]


def _until(watched: Contained, path: str, seconds: float = 120) -> list[Any]:
    """Ask Prometheus until it has something to say."""
    end = time.monotonic() + seconds
    while not (found := _prometheus(watched, path)["result"]):
        assert time.monotonic() < end, f"Prometheus knows nothing of {path}"
        time.sleep(1)
    return found


def test_prometheus_scrapes_the_service_and_has_the_steads_series(watched: Contained) -> None:
    assert watched.health()["prometheus"] == "healthy"
    assert {row["value"][1] for row in _until(watched, "query?query=up==1")} == {"1"}
    assert _until(watched, "query?query=pg_up")


def test_prometheus_evaluates_our_rules_and_knows_whom_to_tell(watched: Contained) -> None:
    assert watched.health()["alertmanager"] == "healthy"
    rules = [rule for group in _prometheus(watched, "rules")["groups"] for rule in group["rules"]]
    assert len(rules) > 30
    _until(watched, "query?query=ALERTS_FOR_STATE or vector(1)".replace(" ", "%20"))
    assert {rule["health"] for rule in rules} <= {"ok", "unknown"}
    managers = _prometheus(watched, "alertmanagers")["activeAlertmanagers"]
    assert [each["url"] for each in managers] == ["http://alertmanager.internal:9093/api/v2/alerts"]


def test_a_second_up_leaves_them_and_who_is_no_longer_asked_for_is_gone(
    watched: Contained,
) -> None:
    before = {row["Service"]: row["ID"] for row in watched.rows()}
    assert watched.json("up")["published"]["prometheus"] == [_where(watched)]
    assert {row["Service"]: row["ID"] for row in watched.rows()} == before | {
        name: identity
        for name, identity in {r["Service"]: r["ID"] for r in watched.rows()}.items()
        if name in {"prepare", "provision"}
    }
    manifest = watched.stead.manifest
    manifest.write_text(manifest.read_text().replace(PROFILES, "", 1))
    watched.run("up")
    assert not {"prometheus", "alertmanager"} & set(watched.names())
    assert watched.names().keys() == before.keys() - {"prometheus", "alertmanager"}
