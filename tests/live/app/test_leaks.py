"""No tenant sees another's row, whatever happens to transactions and connections (TEN-3)."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import pytest

from pgstead.app import beginning
from pgstead.app.engine import Database
from pgstead.app.scope import Scope
from pgstead.app.target import Driver
from tests.live.app import hammer
from tests.live.app.ways import WAYS, settings_to, way_to
from tests.live.scratch import Scratch

SERVER_CONNECTIONS = 3


@pytest.fixture(scope="module", params=WAYS)
def way(request: pytest.FixtureRequest, scratch: Scratch) -> Iterator[str]:
    """Give each way in turn, with three connections to the server."""
    hammer.prepare(scratch)
    with way_to(scratch, request.param, pool_size=SERVER_CONNECTIONS):
        yield request.param


def strike(
    scratch: Scratch, driver: Driver, way: str, transactions: int, processes: int = 1
) -> Counter[str]:
    """Run the hammer; through a pooler there are more clients than server connections.

    Most of the time is the clients' own: two processes are twice as fast on two cores. They share
    what is tried, the pooler's server connections; a pool of their own they could not share.
    """
    size = SERVER_CONNECTIONS if way == "direct" else 8
    if processes == 1 or way == "direct":
        return hammer.strike(scratch.connection, driver, size, transactions)
    spawning = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=spawning) as pool:
        each = [
            pool.submit(
                hammer.strike, scratch.connection, driver, size, transactions // processes, seed
            )
            for seed in range(7, 7 + processes)
        ]
        return sum((one.result() for one in each), Counter[str]())


def check(counts: Counter[str]) -> None:
    """No foreign row, no error that was not planned, and it was no idle run."""
    print(f"\n{dict(sorted(counts.items()))}")
    told = {name: number for name, number in counts.items() if name.isupper() or "UNEXP" in name}
    assert not told, counts
    assert counts["FOREIGN ROWS"] == 0, counts
    assert counts["own rows"] > 0


def test_no_tenant_sees_another_s_row(way: str, scratch: Scratch, driver: Driver) -> None:
    check(strike(scratch, driver, way, 480))


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_no_tenant_sees_another_s_row_in_100_000_transactions(
    way: str, scratch: Scratch, driver: Driver
) -> None:
    counts = strike(scratch, driver, way, 100_000, processes=2)
    check(counts)
    assert sum(counts[act.__name__] for act in hammer.ACTS) > 99_900


def test_a_tenant_left_behind_by_another_client_is_not_taken_over(
    way: str, scratch: Scratch, driver: Driver
) -> None:
    known = settings_to(scratch, driver)

    async def whole() -> Counter[str]:
        database = Database(known, metadata=hammer.Base.metadata)
        run = hammer.Hammer(database, known, random.Random(7))
        try:
            for tenant in hammer.TENANTS[:10]:
                await hammer.leaves_a_tenant_behind(run, tenant)
            return run.counts
        finally:
            await database.close()

    assert asyncio.run(whole())["FOREIGN ROWS"] == 0


def test_without_transaction_locality_the_hammer_turns_red(
    way: str, scratch: Scratch, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: the setting of a session instead of a transaction, and rows are seen."""
    local = Scope.prelude
    monkeypatch.setattr(Scope, "prelude", lambda scope: local(scope).replace(",true)", ",false)"))
    assert strike(scratch, driver, way, 360)["FOREIGN ROWS"] > 0


def test_the_usual_way_of_setting_a_tenant_turns_the_hammer_red(
    way: str, scratch: Scratch, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the rule that it is always set: here only where there is a tenant."""
    local = Scope.prelude
    monkeypatch.setattr(Scope, "prelude", lambda scope: local(scope).replace(",true)", ",false)"))
    monkeypatch.setattr(beginning, "_EMPTY", "SELECT 1")
    assert strike(scratch, driver, way, 360)["FOREIGN ROWS"] > 0
