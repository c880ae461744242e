"""The stead in containers is the stead: healthy, proven, and equal to one on this machine."""

from __future__ import annotations

import json
import urllib.request

from tests.fix_stead import stead_in
from tests.live.containers import parity
from tests.live.containers.contained import LASTING, Contained
from tests.live.upgrade.writers import LOAD

DATABASES = ("jeex_idea",)


def test_every_container_is_healthy_and_a_second_up_changes_nothing(contained: Contained) -> None:
    contained.wait_until_healthy()
    assert {contained.health()[name] for name in LASTING} == {"healthy"}
    before = {row["Service"]: row["ID"] for row in contained.rows()}
    assert contained.json("up")["stall"] is None
    after = {row["Service"]: row["ID"] for row in contained.rows()}
    assert {name: after[name] for name in LASTING} == {name: before[name] for name in LASTING}
    assert "nothing to change" in contained.run("plan").stdout


def test_the_service_answers_on_its_published_port(contained: Contained) -> None:
    contained.wait_for_api()
    place = f"http://127.0.0.1:{contained.stead.api_port}/health/ready"
    with urllib.request.urlopen(place, timeout=10) as answer:
        assert answer.status == 200


def test_every_promise_that_can_be_tried_there_is_kept(contained: Contained) -> None:
    contained.run("drill")
    assert contained.broken() == []


def test_it_is_the_same_stead_as_on_this_machine(contained: Contained) -> None:
    with stead_in(backup="true", telemetry="true", extra=LOAD) as embedded:
        embedded.run("up")

        def ask(database: str, sql: str) -> str:
            with embedded.superuser(database) as connection:
                row = connection.execute(sql.encode()).fetchone()
            return json.dumps(next(iter(row.values())))

        here = parity.taken(ask, DATABASES)
    there = parity.taken(contained.ask, DATABASES)
    found = parity.differences(here, there)
    print(
        "\n".join(
            f"{path}: {left!r} here, {right!r} there" for path, (left, right) in found.items()
        )
    )
    assert parity.unexplained(found) == {}
