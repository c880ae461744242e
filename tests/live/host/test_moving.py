"""A stead of a laptop moves to a host with systemd, by what its page tells."""

from __future__ import annotations

import pytest

from tests.fix_stead import toolchain
from tests.live.host.booted import Host, booted, missing
from tests.live.host.pages import blocks, command, major

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.timeout(1200),
]
MANIFEST = f"""\
version = 1
name = "shop"

[server]
major = {major()}

[[databases]]
name = "shop"
"""
ROWS = "SELECT count(*), sum(id) FROM orders"


def project(host: Host, place: str) -> None:
    """Put the project into a directory."""
    host.shell(
        f"""mkdir -p {place}; cd {place}; cat > pgstead.toml <<'END'
{MANIFEST}
END
        mkdir -m 755 .pgstead; ln -s {toolchain(major())} .pgstead/toolchain"""
    )


def asked(host: Host, place: str, role: str, statement: str) -> str:
    """Ask the database of a stead."""
    return host.shell(f'cd {place}; pgstead -q psql shop --role {role} -- -Atqc "{statement}"')


def test_a_stead_moves_to_a_host_with_its_data() -> None:
    leave, arrive = blocks("move-to-a-host.md")
    with booted() as host:
        command(host)
        project(host, "/srv/laptop")
        host.shell("cd /srv/laptop; pgstead -q up")
        asked(host, "/srv/laptop", "migrator", "CREATE TABLE orders (id int PRIMARY KEY)")
        fill = "INSERT INTO orders SELECT generate_series(1, 5000)"
        asked(host, "/srv/laptop", "migrator", fill)
        there = asked(host, "/srv/laptop", "readonly", ROWS)
        host.shell(f"cd /srv/laptop\n{leave}")
        project(host, "/srv/shop")
        told = host.shell(arrive, timeout=600)
        assert "0 rows lost" in told
        assert asked(host, "/srv/shop", "readonly", ROWS) == there
        assert host.run("systemctl", "is-active", "pgstead-shop-postgres").strip() == "active"
        assert "nothing to change" in host.shell("cd /srv/shop; pgstead up")
