"""Passwords are changed while 100 clients work, by both doors and with both drivers."""

from __future__ import annotations

import psycopg

from tests.fix_stead import LiveStead
from tests.live.rotation.clients import working


def refused(stead: LiveStead, role: str, password: str, *, direct: bool) -> bool:
    with pytest.raises(psycopg.OperationalError) as caught:
        stead.connect(role, direct=direct, password=password).close()
    return "authentication failed" in str(caught.value)


def test_passwords_change_under_load_and_the_old_ones_are_refused(rotating: LiveStead) -> None:
    roles = ("jeex_user", "jeex_readonly", "jeex_admin", "jeex_migrator")
    own = ("pgstead_monitor", "pgstead_backup", "pgstead_pooler")
    before = {role: rotating.password(role) for role in (*roles, *own)}
    with working(rotating.manifest) as load:
        told = rotating.json("rotate", "passwords", "--watch", "1s")
        load.grows()
    assert load.errors == []
    assert load.users == {"jeex_user", "jeex_user_standin"}  # both were valid, and both were used
    assert set(told["roles"]) == set(before)
    for role in roles:
        assert refused(rotating, role, before[role], direct=True)
        assert refused(rotating, role, before[role], direct=False)
        rotating.connect(role, direct=True).close()
    assert all(rotating.password(role) != old for role, old in before.items())
    assert rotating.json("plan")["operations"] == []
