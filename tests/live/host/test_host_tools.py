"""What is rendered for a host, judged by the host's own tools: systemd-analyze, nft, sshd."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pgstead.cli.main import main
from pgstead.host import programs
from tests.debian_programs import Fetched, fetched
from tests.fix_stead import CHECKOUT, toolchain, workplace

# docs/how-to/run-on-a-host.md states them; systemd's scale goes to 10, where nothing is confined.
LIMITS = {"postgres": 1.5, "pgbouncer": 1.5, "api-": 2.7, "": 3.4}


@pytest.fixture(scope="module")
def rendered() -> Iterator[Path]:
    """Render everything for the root manifest into a tree."""
    with workplace() as place:
        shutil.copy(CHECKOUT / "pgstead.toml", place)
        settled(place)
        for kind in ("systemd", "nftables", "tunnel", "files"):
            words = ["-q", "-C", str(place), "render", kind, "--out", str(place / "out")]
            assert main(words) == 0
        yield place / "out"


def settled(place: Path) -> None:
    """Put systems and binaries beside a manifest."""
    (place / "systems").symlink_to(CHECKOUT / "systems")
    (place / ".pgstead").mkdir(mode=0o755)
    (place / ".pgstead/toolchain").symlink_to(toolchain(18))


@pytest.fixture(scope="module")
def units(rendered: Path) -> list[Path]:
    """Return the rendered units."""
    return sorted((rendered / "etc/systemd/system").iterdir())


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze: the machine's own, or one that is fetched."""
    if shutil.which("systemd-analyze"):
        return subprocess.run(
            ["systemd-analyze", *words], capture_output=True, text=True, check=False, timeout=60
        )
    tools = fetched("systemd")
    there = next(p for p in ("usr/lib", "lib") if (tools.tree / p / "systemd/system").is_dir())
    path = f"{tools.tree / there / 'systemd/system'}:"
    return tools.run("systemd-analyze", *words, status=None, SYSTEMD_UNIT_PATH=path)


def test_systemd_finds_nothing_wrong_with_the_units(units: list[Path]) -> None:
    done = analyze("verify", "--man=no", *map(str, units))
    ours = [line for line in done.stderr.splitlines() if "pgstead" in line]
    assert (done.returncode, ours) == (0, [])


def test_every_service_is_as_confined_as_the_how_to_says(
    units: list[Path], record_property: Callable[[str, object], None]
) -> None:
    services = [path for path in units if path.suffix == ".service"]
    assert len(services) == 8
    open_ones: list[str] = []
    for path in services:
        program = path.stem.removeprefix("pgstead-foundation-")
        limit = next(value for name, value in LIMITS.items() if program.startswith(name))
        done = analyze("security", "--offline=true", f"--threshold={limit * 10:.0f}", str(path))
        found = re.search(r"exposure level for .*: ([0-9.]+)", done.stdout)
        level = found[1] if found else "unknown"
        print(f"{program}: {level} of {limit}")  # by `pytest -s`, and whenever it fails
        record_property(program, level)
        if done.returncode != 0 or found is None:
            open_ones.append(f"{program}: {level}, more than {limit}: {done.stderr}")
    assert open_ones == []


def test_the_how_to_states_the_limits() -> None:
    said = (CHECKOUT / "docs/how-to/run-on-a-host.md").read_text()
    assert [f"{limit:.1f}" for limit in LIMITS.values() if f"{limit:.1f}" not in said] == []


def can_filter() -> str:
    """Say why rules cannot be loaded here; empty where they can."""
    if os.geteuid() != 0:
        return "loading firewall rules needs root"
    if shutil.which("ip") is None or shutil.which("unshare") is None:
        return "ip or unshare is missing on this machine"
    probe = ["unshare", "--net", "ip", "link", "add", "name", "in0", "type", "veth"]
    return "" if programs.run(probe).ok else "no network namespaces here"


NO_FILTER = can_filter()


@pytest.fixture
def place() -> Iterator[Path]:
    """Give a directory."""
    with workplace() as found:
        yield found


@pytest.fixture(scope="module")
def nft() -> Fetched:
    """Return nft as Debian has it."""
    return fetched("nftables")


@pytest.mark.skipif(bool(NO_FILTER), reason=NO_FILTER)
def test_nft_finds_nothing_wrong_with_the_rules(nft: Fetched, rendered: Path) -> None:
    """In a network of its own: `--check` asks the kernel, and needs to be root there."""
    (rules,) = (rendered / "etc/nftables.d").iterdir()
    check = ["unshare", "--net", str(nft.program("nft")), "--check", "--file"]
    done = programs.run([*check, str(rules)], environment=nft.environment)
    assert done.ok, done.words
    broken = rendered / "broken.nft"
    broken.write_text(rules.read_text().replace("ip saddr", "ip sadr"))
    assert not programs.run([*check, str(broken)], environment=nft.environment).ok


# Two hosts on one cable: `inside` (this namespace) has the rules and listens, `peer` asks.
CABLE = """
set -eu
ip link set lo up
ip link add name inside type veth peer name outside
unshare --net sleep 60 & peer=$!
until [ "$(readlink /proc/$peer/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
ip link set outside netns $peer
ip addr add 10.1.0.1/16 dev inside; ip link set inside up
ip addr add 192.168.7.1/24 dev inside
n() {{ nsenter -t $peer -n "$@"; }}
n ip addr add 10.1.0.2/16 dev outside; n ip addr add 192.168.7.2/24 dev outside
n ip link set outside up
{nft} -f {rules}; {nft} -f {rules}
{python} - $peer <<'END'
import socket, subprocess, sys
ports = {{5220: socket.create_server(("0.0.0.0", 5220)), 22: socket.create_server(("0.0.0.0", 22))}}
ask = '''import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 0.7, (sys.argv[3], 0)).close()
    print("in")
except OSError:
    print("out")'''
for address, port, source in (
    ("10.1.0.1", 5220, "10.1.0.2"), ("192.168.7.1", 5220, "192.168.7.2"),
    ("192.168.7.1", 22, "192.168.7.2"),
):
    words = ["nsenter", "-t", sys.argv[1], "-n", sys.executable, "-c", ask]
    words += [address, str(port), source]
    print(port, source, subprocess.run(words, capture_output=True, text=True).stdout.strip())
print(5220, "loopback", "in" if socket.create_connection(("127.0.0.1", 5220), 1) else "")
END
kill $peer
"""


@pytest.mark.skipif(bool(NO_FILTER), reason=NO_FILTER)
def test_only_the_stated_networks_get_through_the_firewall(nft: Fetched, place: Path) -> None:
    (place / "pgstead.toml").write_text(
        (CHECKOUT / "pgstead.toml")
        .read_text()
        .replace(
            'allow = ["127.0.0.1/32", "::1/128"]',
            'allow = ["127.0.0.1/32", "10.1.0.0/16"]\nlisten = ["0.0.0.0"]',
        )
    )
    settled(place)
    assert main(["-q", "-C", str(place), "render", "nftables", "--out", str(place)]) == 0
    rules = place / "etc/nftables.d/pgstead-foundation.nft"
    script = CABLE.format(nft=nft.program("nft"), rules=rules, python="/usr/bin/python3")
    done = subprocess.run(
        ["unshare", "--net", "--fork", "--kill-child", "bash", "-c", script],
        capture_output=True, text=True, check=False, timeout=60, env=dict(nft.environment),
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        "5220 10.1.0.2 in",
        "5220 192.168.7.2 out",
        "22 192.168.7.2 in",
        "5220 loopback in",
    ], done.stderr


def test_ssh_reads_the_administrators_part(rendered: Path) -> None:
    if shutil.which("ssh") is None:
        pytest.skip("no ssh here")
    done = subprocess.run(
        ["ssh", "-G", "-F", rendered / "client/pgstead-foundation.ssh", "pgstead-foundation"],
        capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    assert "localforward [127.0.0.1]:15220 [127.0.0.1]:5220" in done.stdout
    assert "exitonforwardfailure yes" in done.stdout


def test_the_example_environment_of_the_checkout_is_the_rendered_one(rendered: Path) -> None:
    assert (CHECKOUT / ".env.example").read_text() == (rendered / ".env.example").read_text()


# DEP-11
NAMED = (
    "docker-compose.postgres.yml", ".env.example", "backup-postgres.sh", "postgres-tuning.conf",
    "prometheus-postgres.yml", "connection.py", "init_schema.py", "health.py",
    "/docker-entrypoint-initdb.d",
)  # fmt: skip


def test_each_file_that_the_specifications_name_is_rendered_or_said_where(rendered: Path) -> None:
    page = (CHECKOUT / "docs/reference/named-files.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    for name in NAMED:
        (row,) = [line for line in rows if line.startswith(f"| `{name}`")]
        assert (rendered / name).exists() is ("`pgstead render files`" in row), name


def test_the_rendered_files_are_read_by_what_they_are_for(rendered: Path) -> None:
    assert programs.run(["sh", "-n", str(rendered / "backup-postgres.sh")]).ok
    (rendered / "postgresql.conf").write_text("include 'postgres-tuning.conf'\n")
    (postgres,) = toolchain(18).glob("postgresql/*/bin/postgres")
    # Of all options -C alone may be asked as root, and needs no cluster.
    done = programs.run([str(postgres), "-C", "shared_buffers", "-D", str(rendered)])
    assert done.ok, done.words
    assert int(done.out) > 0
    (rendered / "postgresql.conf").write_text("include 'postgres-tuning.conf'\nshared_bufers = 1\n")
    assert not programs.run([str(postgres), "-C", "shared_buffers", "-D", str(rendered)]).ok


def again(rendered: Path, out: Path) -> int:
    """Render the units once more, from the same manifest."""
    return main(["-q", "-C", str(rendered.parent), "render", "systemd", "--out", str(out)])


def test_somebody_elses_file_is_left_alone_and_nothing_is_written(
    rendered: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = rendered.parent / "elsewhere"
    foreign = out / "etc/logrotate.d/pgstead-foundation"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("# mine\n")
    assert again(rendered, out) == 2
    assert "nothing was written" in capsys.readouterr().err
    assert [path for path in out.rglob("*") if path.is_file()] == [foreign]


def test_another_stead_of_the_same_name_is_not_written_over(rendered: Path) -> None:
    assert again(rendered, rendered) == 0  # its own is
    target = rendered / "etc/systemd/system/pgstead-foundation.target"
    own = target.read_text()
    target.write_text(own.replace("X-Pgstead-State=", "X-Pgstead-State=/other"))
    try:
        assert again(rendered, rendered) == 2
    finally:
        target.write_text(own)
