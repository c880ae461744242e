"""Each single attack is seen to succeed where nothing stands in its way.

A sabotage breaks a promise by one of its attacks. Here the application is a superuser, and all of
them get through: an attack that is refused even then is refused for another reason, and shows
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.fix_stead import LiveStead, stead_in

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]
ATTACKS = (
    "ROL-030", "ROL-031", "ROL-032", "ROL-033", "ROL-034", "ROL-035", "TEN-020", "AUD-004",
)  # fmt: skip
AUDITED = """
[audit]
enabled = true
"""


@pytest.fixture(scope="module")
def wide_open() -> Iterator[LiveStead]:
    """Give a stead whose application may do anything."""
    with stead_in(extra=AUDITED) as made:
        made.run("up")
        made.wait_for_pooler()
        with made.superuser() as session:
            session.execute("ALTER ROLE jeex_user SUPERUSER")
        yield made


@pytest.mark.parametrize("code", ATTACKS)
def test_each_attack_succeeds_where_nothing_stands_in_its_way(
    wide_open: LiveStead, code: str
) -> None:
    report = wide_open.json("prove", code, status=1)
    attempts: list[dict[str, Any]] = report["promises"][0]["attempts"]
    assert [a["tried"] + " -> " + a["answer"] for a in attempts if a["verdict"] != "broken"] == []
    # by each door: what one grants the other must not
    for door in (" by direct: ", " by pooler: "):
        assert [a for a in attempts if door in a["tried"]], door
