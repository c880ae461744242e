"""The WAL that has been received: which timelines it is of, and what came last."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from pgstead.host import listing
from pgstead.host.files import problem
from pgstead.model.backup import SERVER, BackupPlan

WAL = "barman_wal"  # where Barman puts the segments, below the data directory
_SEGMENT = re.compile(r"^[0-9A-F]{24}$")
_TRIES = 5


def timelines(plan: BackupPlan) -> set[int]:
    """Return the timelines whose history is here; the first one has none."""
    folders = (Path(plan.wals), Path(plan.streaming))
    found = [path.stem for folder in folders for path in folder.glob("????????.history")]
    return {int(stem, 16) for stem in found}


def parents(history: str) -> dict[int, int]:
    """Return where each timeline was left on the way to one, from the text of its history file."""
    found: dict[int, int] = {}
    for line in history.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0].isdigit() and "/" in words[1]:
            found[int(words[0])] = place_of(words[1])
    return found


def place_of(lsn: str) -> int:
    """Return a place in the WAL as a number."""
    high, _, low = lsn.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def copy_spool(plan: BackupPlan, into: Path, timeline: int) -> None:
    """Copy what is being received of a timeline, whole segments and the open one, by their names.

    What is there already stays. Raises HostError where nothing can be written.
    """
    for _ in range(_TRIES):
        try:
            for path in sorted(Path(plan.streaming).glob(f"{timeline:08X}*")):
                name = path.name.removesuffix(".partial")
                if _SEGMENT.match(name) and not (into / name).exists():
                    shutil.copyfile(path, into / name)
        except FileNotFoundError:
            continue  # it was completed, or archived, while we looked
        except OSError as error:
            raise problem(error, into, "copying WAL to") from error
        return


def archived_since(plan: BackupPlan, folder: Path, timeline: int) -> list[str]:
    """Return the segments of a timeline between those of a folder that only the archive has.

    One that Barman's list does not have is left out: it would be given as it lies there, sealed.
    """
    have = {path.name for path in folder.iterdir() if _SEGMENT.match(path.name)}
    own = sorted(name for name in have if int(name[:8], 16) == timeline)
    if not own:
        return []
    archived = {
        path.name
        for path in listing.two_down(plan.wals)
        if _SEGMENT.match(path.name) and path.parent.name.startswith(f"{timeline:08X}")
    }
    missing = (archived - have) & listed(plan)
    return sorted(name for name in missing if own[0] < name < own[-1])


def listed(plan: BackupPlan) -> set[str]:
    """Return the names in Barman's list of WAL."""
    try:
        lines = Path(plan.wals, f"{SERVER}-xlog.db").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return set()
    return {line.partition("\t")[0] for line in lines}
