"""240 concurrent sessions through each pooler while a column changes its type: all right."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fix_stead import CHECKOUT, LiveStead, cache_directory, locked, stead_in

pytestmark = [pytest.mark.live, pytest.mark.slow]

PROCESSES = 5  # of 20 + 30 connections each, as jeex_idea's figures are
SESSIONS = 240


def pooler_lab(suite: str) -> Path:
    """Return a newer PgBouncer beside the system's; skip where the lab is not at hand."""
    lab = CHECKOUT.parent / "shared" / "lab" / "pooler-lab"
    if not lab.exists() or shutil.which("apt-get") is None:
        pytest.skip("no pooler-lab beside the checkout: PgBouncer 1.24 and newer not tried")
    place = cache_directory() / f"pooler-{suite}"
    with locked(cache_directory() / "pooler.lock"):
        done = subprocess.run(
            ["bash", str(lab), str(place), suite], capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        pytest.skip(f"pooler-lab {suite} failed: {done.stderr[-200:]}")
    return place / "pgbouncer"


@pytest.fixture(scope="module", params=["at hand", "trixie", "forky"])
def pooled(request: pytest.FixtureRequest) -> Iterator[LiveStead]:
    """Give a stead behind the PgBouncer at hand (1.18 on Debian 12), 1.24 or newer."""
    given = {}
    if request.param != "at hand":
        given["pooler_extra"] = f'binary = "{pooler_lab(request.param)}"'
    extra = "".join(
        f'[[databases.processes]]\nname = "worker{n}"\ncount = 1\n' for n in range(PROCESSES)
    )
    with stead_in(extra=extra, **given) as made:
        made.run("up")
        yield made


@pytest.fixture
def telling(pooled: LiveStead) -> Iterator[LiveStead]:
    """Make the table whose column changes its type."""
    with pooled.connect("jeex_migrator", direct=True) as connection:
        connection.execute("CREATE TABLE telling (id int PRIMARY KEY, v int NOT NULL)")
        connection.execute("INSERT INTO telling VALUES (1, 1065353216)")
    yield pooled
    with pooled.connect("jeex_migrator", direct=True) as connection:
        connection.execute("DROP TABLE telling")


def run_sessions(stead: LiveStead, driver: str, rounds: int) -> Counter[str]:
    """Run the processes, change the type in the middle, and add up what happened."""
    worker = Path(__file__).with_name("sessions_worker.py")
    connection = stead.state / "connections" / "jeex_idea.json"
    share = str(SESSIONS // PROCESSES)
    command = [sys.executable, str(worker), str(connection), driver, share, str(rounds)]
    running = [
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=CHECKOUT,
            env={**os.environ, "PYTHONWARNINGS": "default"},
        )
        for _ in range(PROCESSES)
    ]
    total: Counter[str] = Counter()
    try:
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == "running\n"
        with stead.connect("jeex_migrator", direct=True) as migrator:
            migrator.execute("ALTER TABLE telling ALTER v TYPE real USING v::real")
        for process in running:
            out, err = process.communicate(timeout=240)
            assert process.returncode == 0, err
            total.update(json.loads(out))
    finally:
        for process in running:
            process.kill()
            process.communicate()
    return total


def check(driver: str, rounds: int, stead: LiveStead) -> None:
    """Every one of the statements was answered, and rightly."""
    total = run_sessions(stead, driver, rounds)
    moments = total.pop("before", 0), total.pop("after", 0)
    assert dict(total) == {"right": SESSIONS * rounds * 4}
    assert all(moments), "the type did not change in the middle"


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_concurrent_sessions_make_no_error_while_a_type_changes(
    driver: str, telling: LiveStead
) -> None:
    check(driver, 5, telling)


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_many_rounds_of_concurrent_sessions_make_no_error(driver: str, telling: LiveStead) -> None:
    check(driver, 100, telling)


def test_the_unsafe_default_of_a_driver_is_what_the_engine_avoids(
    telling: LiveStead, request: pytest.FixtureRequest
) -> None:
    """The control: without our settings PgBouncer before 1.21 breaks, so the test can fail."""
    pooler = telling.wired.design.pooler
    assert pooler is not None
    if pooler.prepares:
        pytest.skip("this PgBouncer knows prepared statements: the driver's defaults work")
    script = (
        "import asyncio, asyncpg, ssl, sys\n"
        "async def one(ctx, pw, port):\n"
        "    c = await asyncpg.connect(host='127.0.0.1', port=port, user='jeex_user',\n"
        "        password=pw, database='jeex_idea', ssl=ctx)\n"
        "    bad = 0\n"
        "    for i in range(20):\n"
        "        try:\n"
        "            async with c.transaction():\n"
        "                bad += (await c.fetchval(f'SELECT {i % 5} + $1::int', 0)) != i % 5\n"
        "        except asyncpg.PostgresError: bad += 1\n"
        "    return bad\n"
        "async def main():\n"
        "    ctx = ssl.create_default_context(cafile=sys.argv[1])\n"
        "    pw = open(sys.argv[2]).read().strip()\n"
        "    r = await asyncio.gather(*(one(ctx, pw, int(sys.argv[3])) for _ in range(40)),\n"
        "        return_exceptions=True)\n"
        "    print(sum(x if isinstance(x, int) else 1 for x in r))\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            script,
            str(telling.ca),
            str(telling.state / "secrets" / "jeex_user"),
            str(telling.pooler_port),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert int(done.stdout) > 0, done.stderr[-500:]
