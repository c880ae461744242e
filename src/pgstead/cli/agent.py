"""The agent's process: `python -m pgstead.cli.agent APPLIED DIRECTORY`, as the supervisor runs it.

It goes by the manifest that the last `up` was given, whatever the user's says by now.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path


def main(applied: str, directory: str) -> None:
    """Keep the schedule of a stead: backups, drills, its ledger."""
    from pgstead.agent.run import run
    from pgstead.cli.wiring import Source, applied_wiring

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    wired = applied_wiring(Source.at(Path(applied), Path(directory)))
    run(wired.design, wired.ports)


if __name__ == "__main__":
    main(*sys.argv[1:])
