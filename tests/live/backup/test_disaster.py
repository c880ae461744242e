"""The data directory is deleted under load: all acknowledged rows come back."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.fix_stead import LiveStead
from tests.live.backup.ledger import differences, live_rows, written
from tests.live.test_crashes import pid_of

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(600)]

FILL = "CREATE TABLE IF NOT EXISTS ballast AS SELECT n, repeat(md5(n::text), 30) AS words FROM"


def lose_everything(stead: LiveStead) -> None:
    """Kill the server and delete its data directory."""
    victim = pid_of(stead, "postgres")
    data = Path(stead.wired.design.layout.data)
    doomed = data.with_name("doomed")
    # renamed first: the supervisor starts it again while files are still being deleted
    data.rename(doomed)
    os.kill(victim, signal.SIGKILL)
    shutil.rmtree(doomed)


@pytest.mark.parametrize(
    ("times", "size"),
    [(2, 0), pytest.param(2, 10**9, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])],
)
def test_after_the_loss_of_the_data_directory_all_acknowledged_rows_are_there(
    sealed: LiveStead, tmp_path: Path, times: int, size: int
) -> None:
    if size:
        with sealed.superuser("jeex_idea") as connection:
            connection.execute("SET statement_timeout = 0")
            connection.execute(f"{FILL} generate_series(1, {size // 1000}) AS n".encode())
    sealed.run("backup", "now")
    for number in range(times):
        kept = frozenset(live_rows(sealed).numbers) if number else frozenset[int]()
        with written(sealed, tmp_path / f"journal-{number}", first=number * 10**6 + 1) as ledger:
            ledger.wait_for(300)
            lose_everything(sealed)
            history = ledger.stop()
        refused = sealed.run("up", "--json", status=None)
        assert refused.returncode != 0, "an empty cluster was made"
        began = time.monotonic()
        told = sealed.json("restore", "--in-place", "--yes")
        seconds = time.monotonic() - began
        found = live_rows(sealed)
        lost = history.acknowledged - found.numbers
        final = max(c.at.timestamp() for c in history.commits)
        last = max(c.at.timestamp() for c in history.commits if c.number in found.numbers)
        print(
            f"\ndisaster {number}: {len(lost)} of {len(history.commits)} acknowledged rows lost,"
            f" RPO {final - last:.3f} s; RTO {told['seconds']:.1f} s restored,"
            f" {seconds:.1f} s with a base backup after it"
        )
        assert differences(found, kept | history.acknowledged, history.open) == []
        assert told["kept"] is None
    newest = sealed.json("backup", "list")["backups"][-1]
    assert newest["state"] == "done"
    assert newest["timeline"] == times + 1
    sealed.run("backup", "verify")
    sealed.run("drill")
    report = sealed.json("prove", "backup", status=None)
    assert [p["id"] for p in report["promises"] if p["verdict"] == "broken"] == []
    assert sealed.json("plan")["operations"] == []
