"""200 clients write through the pooler while the server's container is made anew."""

from __future__ import annotations

import os
import subprocess
import time

from tests.live.containers.contained import Contained
from tests.live.upgrade.writers import Writers, writing

CLIENTS = int(os.environ.get("PGSTEAD_TEST_CLIENTS", "200"))


def _settled(writers: Writers, seconds: float = 300) -> None:
    """Wait until each client has written twice more on average."""
    wanted, end = len(writers.acknowledged) + 2 * writers.clients, time.monotonic() + seconds
    while len(writers.acknowledged) < wanted:
        assert not writers.errors, writers.errors[:3]
        assert time.monotonic() < end, "the clients do not go on"
        time.sleep(0.05)


def test_clients_see_no_error_while_the_server_restarts(contained: Contained) -> None:
    with writing(contained.door, CLIENTS, 0.5) as writers:
        _settled(writers)
        writers.reset()
        told = contained.json("restart")
        _settled(writers)
    assert writers.errors == []
    assert told["pooled"] is True
    print(f"{CLIENTS} clients, 0 errors: {writers.longest:.2f} s at most, said {told['seconds']}")


def test_clients_see_no_error_while_the_image_changes(contained: Contained) -> None:
    before = {row["Service"]: row["ID"] for row in contained.rows()}
    image = contained.inspected("postgres")["Config"]["Image"]
    new = f"FROM {image}\nLABEL changed={time.time_ns()}\n"
    words = ["docker", "build", "--tag", image, "-"]
    with writing(contained.door, CLIENTS, 0.5) as writers:
        _settled(writers)
        subprocess.run(words, input=new.encode(), capture_output=True, check=True)
        contained.run("up", status=3)
        writers.reset()
        told = contained.json("up", "--allow", "restart")
        _settled(writers)
    after = {row["Service"]: row["ID"] for row in contained.rows()}
    assert writers.errors == []
    assert after["postgres"] != before["postgres"]
    assert after["pgbouncer"] == before["pgbouncer"]
    print(f"{CLIENTS} clients, 0 errors: {writers.longest:.2f} s at most, said {told['stall']}")


def test_clients_go_on_where_whoever_holds_them_is_killed(contained: Contained) -> None:
    hold = ("exec", "-T", "agent", "/opt/pgstead/bin/python", "-m", "pgstead.cli.container")
    words = ["docker", "compose", "--project-directory", str(contained.directory), *hold]
    with writing(contained.door, 10, 0.1) as writers:
        with subprocess.Popen(
            [*words, "hold", "10"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"held\n"
            holder.kill()
        _settled(writers)
    assert writers.errors == []
