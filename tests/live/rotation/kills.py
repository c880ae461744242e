"""Rotations that are killed, at whatever moment: the next run finishes them or takes them back."""

from __future__ import annotations

import random
import signal
import subprocess
import time

from tests.fix_stead import PGSTEAD, LiveStead
from tests.live.rotation.clients import working

COMMANDS = (("passwords", "--watch", "100ms"), ("ca", "--window", "0s"), ("certificates",))
BEGIN = 1.0  # seconds until the program has read the manifest, at least


def killed(stead: LiveStead, command: tuple[str, ...], after: float) -> bool:
    """Run a rotation and kill it; say whether it was killed before its end."""
    program = subprocess.Popen(
        [*PGSTEAD, "rotate", *command],
        cwd=stead.directory,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        program.wait(after)
    except subprocess.TimeoutExpired:
        program.send_signal(signal.SIGKILL)
    return program.wait(30) == -signal.SIGKILL


def stop_when_lent(
    stead: LiveStead, sent: signal.Signals, *options: str
) -> subprocess.CompletedProcess[str]:
    """Stop a rotation of passwords when applications were told to come as a stand-in."""
    program = subprocess.Popen(
        [*PGSTEAD, "rotate", "passwords", *options],
        cwd=stead.directory,
        stderr=subprocess.PIPE,
        text=True,
    )
    standin, end = stead.state / "secrets" / "jeex_user_standin", time.monotonic() + 60
    while not standin.exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    program.send_signal(sent)
    _, told = program.communicate(timeout=30)
    return subprocess.CompletedProcess(program.args, program.returncode, stderr=told)


def kill_when_lent(stead: LiveStead) -> None:
    """Kill a rotation of passwords when applications were told to come as a stand-in."""
    assert stop_when_lent(stead, signal.SIGKILL).returncode == -signal.SIGKILL


def kill_and_finish(
    stead: LiveStead,
    kills: int,
    *,
    clients: int,
    commands: tuple[tuple[str, ...], ...] = COMMANDS,
) -> None:
    """Kill rotations while clients work, each at a moment of chance; have each finished."""
    chance = random.Random(kills)
    passwords = stead.password("jeex_user")
    done = 0
    with working(stead.manifest, clients=clients) as load:
        while done < kills:
            command = commands[done % len(commands)]
            after = BEGIN + chance.uniform(0, 8)
            cut = killed(stead, command, after)
            how = f"killed after {after:.1f} s" if cut else "ended"
            print(f"{load.age:.1f} s: {command[0]} {how}")
            done += cut
            with stead.connect(direct=True) as connection:  # old or new, one is valid
                assert connection.execute("SELECT 1").fetchone() == (1,)
        for command in commands:
            stead.run("rotate", *command)
            print(f"{load.age:.1f} s: {command[0]} ended")
    assert load.errors == [], load.errors[:5]  # rewritten in tests alone: said here
    assert load.acting == {"jeex_user"}
    assert stead.password("jeex_user") != passwords
    assert stead.ca.read_text().count("BEGIN CERTIFICATE") == 1
    assert not list((stead.state / "secrets").glob("*_standin"))
    with stead.superuser() as connection:
        query = "SELECT count(*) AS n FROM pg_roles WHERE rolname LIKE '%%standin'"
        assert connection.execute(query).fetchone()["n"] == 0
    assert stead.json("plan")["operations"] == []
    assert stead.run("rotate", "status").returncode == 0
