"""Each single attack is seen to succeed where nothing stands in its way.

A sabotage breaks a promise by one of its attacks. Here the application is a superuser, and all of
them get through: an attack that is refused even then is refused for another reason, and shows
nothing.
"""

from __future__ import annotations

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


def test_each_attack_is_refused_by_each_door_and_succeeds_where_nothing_stands_in_its_way() -> None:
    with stead_in(extra=AUDITED) as made:
        made.run("up")
        made.wait_for_pooler()
        for told in attempts(made, status=0):
            # what one door grants the other must not
            for door in (" by direct: ", " by pooler: "):
                assert [a for a in told if door in a["tried"]], (door, told[0])
        with made.superuser() as session:
            session.execute("ALTER ROLE jeex_user SUPERUSER")
        # the pooler lets no superuser in: that is a promise of its own
        direct = [
            a for told in attempts(made, status=1) for a in told if " by direct: " in a["tried"]
        ]
        refused = [f"{a['tried']} -> {a['answer']}" for a in direct if a["verdict"] != "broken"]
        assert "\n".join(refused) == ""


def attempts(stead: LiveStead, *, status: int) -> list[list[dict[str, Any]]]:
    """Return the attempts behind each promise."""
    return [p["attempts"] for p in stead.json("prove", *ATTACKS, status=status)["promises"]]
