"""A stead on a host with systemd, from the packages of its distribution: the whole way."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from typing import cast

import pytest

from tests.debian_programs import fetched
from tests.fix_stead import CHECKOUT, toolchain
from tests.live.host.booted import Host, booted, missing
from tests.live.host.pages import blocks, command, major
from tests.sabotage.damage import Sabotage
from tests.sabotage.register import sabotages
from tests.sabotage.scene import Scene

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.timeout(1800),
]
PLACE = "/srv/shop"
STATE = f"{PLACE}/.pgstead"
ON_HOSTS = [s for s in sabotages() if s.where == "host"]
PROGRAMS = {"postgres", "pgbouncer", "api-jeex_idea", "api-ai_agents", "wal-receiver", "agent"}


def prepared(host: Host) -> None:
    """Do what the how-to tells, on the root manifest with the distribution's server."""
    told = f's/^major = 18/major = {major()}/; s/^name = "foundation"/name = "shop"/'
    host.shell(
        f"""mkdir -p {PLACE}; cd {PLACE}; sed '{told}' {CHECKOUT}/pgstead.toml > pgstead.toml
        ln -s {CHECKOUT}/systems systems
        mkdir -m 755 .pgstead; ln -s {toolchain(major())} .pgstead/toolchain"""
    )
    command(host)
    _packages, install, _look = blocks("run-on-a-host.md")
    host.shell(install)


def pgstead(host: Host, words: str, *, status: int | None = 0) -> str:
    """Run the command on the host."""
    return host.shell(f"cd {PLACE}; {sys.executable} -m pgstead {words}", status=status)


def programs(host: Host) -> dict[str, int]:
    """Return the programs that run, with their processes."""
    told = json.loads(pgstead(host, "-q status --json"))
    return {p["name"]: p["pid"] for p in told["programs"] if p["running"]}


def rows(host: Host) -> str:
    """Return how many users there are, asked as the application, through the pooler."""
    return pgstead(host, "psql jeex_idea -- -Atc 'SELECT count(*) FROM users'")


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """Give a host with a stead that is up."""
    with booted() as found:
        prepared(found)
        yield found


def test_systemd_runs_every_program_and_a_second_up_finds_nothing_to_do(host: Host) -> None:
    assert set(programs(host)) == PROGRAMS
    assert "nothing to change" in pgstead(host, "up")
    assert host.run("systemctl", "is-active", "pgstead-shop.target").strip() == "active"
    assert host.run("systemctl", "--failed", "--quiet").strip() == ""


def test_what_runs_is_confined(host: Host) -> None:
    found = programs(host)
    for name in ("postgres", "pgbouncer"):
        facts = dict(
            line.split(":\t", 1)
            for line in host.run("cat", f"/proc/{found[name]}/status").splitlines()
            if ":\t" in line
        )
        assert (facts["NoNewPrivs"], facts["Seccomp"]) == ("1", "2")
        assert {facts[key] for key in ("CapEff", "CapPrm", "CapBnd")} == {"0" * 16}
    service = host.run("cat", f"/proc/{found['api-jeex_idea']}/status")
    assert re.search(r"^CapEff:\t0{16}$", service, re.MULTILINE)
    user = host.run("id", "-u", "pgstead").strip()
    assert re.search(rf"^Uid:\t{user}\t{user}\t{user}\t{user}$", service, re.MULTILINE)


def test_every_promise_is_kept_there(host: Host) -> None:
    _packages, _install, look = blocks("run-on-a-host.md")
    told = host.shell(f"cd {PLACE}\n{look}")
    assert " 0 broken" in told
    assert "pgstead-shop-postgres.service" in told


@pytest.mark.parametrize("damage", ON_HOSTS, ids=lambda s: s.name)
def test_a_damage_of_the_host_breaks_its_promise_and_mended_it_is_kept(
    host: Host, damage: Sabotage
) -> None:
    (code,) = damage.aims_at
    with damage.damage(cast("Scene", host)):
        assert f"{code}  BROKEN" in pgstead(host, f"-q prove {code}", status=1)
    assert f"{code}  kept" in pgstead(host, f"-q prove {code}")


def test_what_is_killed_comes_back_and_nothing_is_lost(host: Host) -> None:
    pgstead(host, "demo load jeex_idea")
    before, there = programs(host), rows(host)
    for name in PROGRAMS:
        host.run("kill", "-9", str(before[name]))
    host.shell(
        "until systemctl is-active -q pgstead-shop-postgres pgstead-shop-pgbouncer;"
        " do sleep 0.2; done"
    )
    pgstead(host, "up")  # waits until everything answers
    now = programs(host)
    assert set(now) == PROGRAMS
    assert [name for name in PROGRAMS if now[name] == before[name]] == []
    assert rows(host) == there


def test_it_is_there_after_a_restart_of_the_machine(host: Host) -> None:
    """Everything is stopped and started by targets, as at shutdown and boot."""
    there = rows(host)
    before = programs(host)
    units = " ".join(f"pgstead-shop-{name}" for name in PROGRAMS)
    host.shell(
        f"""systemctl isolate rescue.target
        until ! systemctl is-active -q {units}; do sleep 0.2; done
        systemctl isolate multi-user.target
        for unit in {units}; do until systemctl is-active -q $unit; do sleep 0.2; done; done"""
    )
    assert "nothing to change" in pgstead(host, "up")
    now = programs(host)
    assert [name for name in PROGRAMS if now[name] == before[name]] == []
    assert rows(host) == there


def test_a_changed_setting_restarts_only_what_it_must(host: Host) -> None:
    before = programs(host)
    host.shell(f"cd {PLACE}; sed -i 's/^workload = .*/slow_statement = \"2s\"/' pgstead.toml")
    pgstead(host, "up")
    now = programs(host)
    assert now["postgres"] == before["postgres"]
    assert now["pgbouncer"] == before["pgbouncer"]


def test_logs_are_rotated_and_go_on(host: Host) -> None:
    log = f"{STATE}/pooler/pgbouncer.log"
    tools = fetched("logrotate")
    libraries = tools.environment["LD_LIBRARY_PATH"]
    rotate = f"{tools.program('logrotate')} --force --state /run/rotated"
    host.shell(f"LD_LIBRARY_PATH={libraries} {rotate} /etc/logrotate.d/pgstead-shop")
    host.shell(f"test -s {log}.1; test -e {STATE}/log/agent.log.1")
    stranger = "host=127.0.0.1 port=6432 user=stranger password=x dbname=jeex_idea sslmode=require"
    psql = f"/usr/lib/postgresql/{major()}/bin/psql"
    host.run(psql, stranger, "-c", "SELECT 1", status=2)
    assert "no such user" in host.run("cat", log)  # written after the rotation


def test_a_broken_program_says_why(host: Host) -> None:
    host.shell(
        f"cd {PLACE}; systemctl stop pgstead-shop-pgbouncer; "
        f"mv {STATE}/tls/pooler.key {STATE}/tls/pooler.key.away; mkdir -p {STATE}/tls/pooler.key"
    )
    try:
        told = pgstead(host, "up", status=1)
        assert "hint:" in told
    finally:
        host.shell(
            f"rmdir {STATE}/tls/pooler.key; mv {STATE}/tls/pooler.key.away {STATE}/tls/pooler.key"
        )
        pgstead(host, "up")


def test_an_embedded_supervisor_gives_way(host: Host) -> None:
    units = "/etc/systemd/system"
    pgstead(host, "down")
    host.shell(f"mkdir /tmp/away; mv {units}/pgstead-* /tmp/away; systemctl daemon-reload")
    pgstead(host, "up")
    assert "supervisor" in host.run("ps", "ax")
    host.shell(f"mv /tmp/away/pgstead-* {units}; systemctl daemon-reload")
    pgstead(host, "up --allow restart")
    assert "supervisor.supervisord" not in host.run("ps", "ax")
    assert set(programs(host)) == PROGRAMS


def test_an_administrator_comes_through_the_tunnel_and_gets_nowhere_else(host: Host) -> None:
    tools = fetched("openssh-server")
    libraries = tools.environment["LD_LIBRARY_PATH"]
    pgstead(host, "-q render tunnel --out /")
    host.shell(
        f"""echo 'u sshd - "sshd" /run/sshd' > /etc/sysusers.d/sshd.conf; systemd-sysusers
        mkdir -p /run/sshd /etc/ssh/authorized_keys.d ~/.ssh
        cd ~/.ssh; ssh-keygen -q -t ed25519 -N '' -f key; ssh-keygen -q -t ed25519 -N '' -f host
        cp key.pub /etc/ssh/authorized_keys.d/pgstead-tunnel
        echo "HostKey $PWD/host" > sshd; echo 'UsePAM yes' >> sshd
        echo 'Include /etc/ssh/sshd_config.d/pgstead-*.conf' >> sshd
        echo "* $(cat host.pub)" > known_hosts
        LD_LIBRARY_PATH={libraries} {tools.program("sshd")} -f $PWD/sshd -E $PWD/log
        sed 's/HostName .*/HostName 127.0.0.1/' /client/pgstead-shop.ssh > config
        ssh -f -N -i key pgstead-shop || {{ cat log; exit 1; }}"""
    )
    url = pgstead(host, "-q url jeex_idea").strip().replace(":6432", ":16432")
    psql = host.shell(f"ls /usr/lib/postgresql/{major()}/bin/psql").strip()
    assert host.shell(f"{psql} '{url}' -Atc 'SELECT current_user'").strip() == "jeex_user"
    refused = "cd ~/.ssh; ssh -i key -F /dev/null pgstead-tunnel@127.0.0.1 "
    assert "not available" in host.shell(f"{refused} id", status=None)
    elsewhere = "-W 127.0.0.1:22"
    assert "prohibited" in host.shell(f"{refused} {elsewhere} </dev/null", status=None)


LOOKED_THROUGH = "/etc /run /var/lib/systemd /var/log /tmp /var/tmp"


def test_down_stops_it_and_destroy_leaves_nothing_on_the_host(host: Host) -> None:
    pgstead(host, "down")
    assert host.run("pgrep", "-cf", "--", f"-D {STATE}/", status=1).strip() == "0"
    pgstead(host, "up")
    pgstead(host, "-q render nftables --out /")
    pgstead(host, "-q render tunnel --out /")
    host.run("systemctl", "start", "pgstead-shop-drift.service", status=None)  # may fail: listed
    told = pgstead(host, "destroy --yes")
    assert "left alone" not in told
    left = host.shell(f"find {LOOKED_THROUGH} -name '*pgstead-shop*'").split()
    assert left == []
    assert not host.run("systemctl", "list-units", "--all", "--quiet", "pgstead-*").strip()
    host.run("test", "!", "-e", STATE)
