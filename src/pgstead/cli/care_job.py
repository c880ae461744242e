"""One job of the agent: `python -m pgstead.cli.care_job APPLIED DIRECTORY JOB`.

A process of its own: it imports the application's models as they are now, and whatever they do,
the agent goes on.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pgstead.errors import SteadError
from pgstead.model.backup import Ending, Task

if TYPE_CHECKING:
    from pgstead.cli.wiring import Wired

_log = logging.getLogger("pgstead.care")
_CAUSE = "schedule"


def main(applied: str, directory: str, job: str) -> int:
    """Do it; what came of it is in the runs. Return the exit status."""
    from pgstead.cli.wiring import Source, applied_wiring

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    wired, began = None, datetime.now(UTC)
    try:
        wired = applied_wiring(Source.at(Path(applied), Path(directory)))
        JOBS[job](wired)
    except SteadError as error:
        _log.error("%s failed: %s", job, error)
        if wired is not None:
            _record(wired, Task(job), str(error), began)
        return int(error.exit_status)
    except KeyboardInterrupt:
        return 130
    return 0


def _record(wired: Wired, task: Task, error: str, began: datetime) -> None:
    """Write down what failed before its run had begun: models that cannot be imported."""
    from pgstead.workflows.runs import care_of

    runs = care_of(wired.ports).runs
    if not any(run.begun >= began for run in runs.runs(task, limit=1)):
        runs.end(runs.begin(task, _CAUSE), Ending.FAILED, error=error)


def _retention(wired: Wired) -> None:
    from pgstead.cli.declaring import chosen, retention_of
    from pgstead.workflows.retention import run

    rules, directories = retention_of(wired, chosen(wired, ()))
    for removed in run(wired.design, wired.ports, rules, _CAUSE, directories=directories):
        if removed.why:
            _log.error("%s %s: %s", removed.database, removed.table, removed.why)
        elif removed.rows:
            _log.info("%s %s: %d rows removed", removed.database, removed.table, removed.rows)


def _integrity(wired: Wired) -> None:
    from pgstead.cli.declaring import chosen, integrity_of
    from pgstead.workflows.integrity import check

    declared = integrity_of(wired, chosen(wired, ()))
    found = check(wired.design, wired.ports, _CAUSE, declared=declared, gentle=True)
    for damage in found.damages:
        _log.error(
            "damaged: %s %s block=%s key=%s: %s",
            damage.database, damage.relation, damage.block, damage.key, damage.what,
        )  # fmt: skip


def _partitions(wired: Wired) -> None:
    from pgstead.cli.declaring import chosen, partitions_of
    from pgstead.workflows.partitions import run

    for rolled in run(wired.design, wired.ports, partitions_of(wired, chosen(wired, ())), _CAUSE):
        if rolled.why:
            _log.error("%s %s: %s", rolled.database, rolled.table, rolled.why)
        for name in rolled.made:
            _log.info("%s %s: made %s", rolled.database, rolled.table, name)
        for name in rolled.dropped:
            _log.info("%s %s: dropped %s", rolled.database, rolled.table, name)


JOBS = {"partitions": _partitions, "retention": _retention, "integrity": _integrity}

if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
