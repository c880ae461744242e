"""What a restore has laid out, looked at with PostgreSQL's own programs before anything starts."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from pgstead.errors import BackupError
from pgstead.host import listing, programs, wal_reading
from pgstead.model.backup import BackupPlan, StoredBackup
from pgstead.model.host import ServerBuild

WAL = "barman_wal"  # where Barman puts the segments, below the data directory
# What Barman writes anew: settings of recovery, and the files that it took them out of.
_REWRITTEN = (
    "postgresql.auto.conf", "postgresql.auto.conf.origin", "postgresql.conf",
    "postgresql.conf.origin", "recovery.signal", "tablespace_map", WAL, ".barman-recover.info",
)  # fmt: skip
_LONG = 24 * 3600.0
_SYSTEM = re.compile(r"^Database system identifier:\s+(\d+)$", re.MULTILINE)
_SEGMENT = re.compile(r"^Bytes per WAL segment:\s+(\d+)$", re.MULTILINE)


class RestoredFiles:
    """`ports.RestoredFiles` by pg_verifybackup, pg_controldata and pg_waldump."""

    def __init__(self, plan: BackupPlan, build: ServerBuild) -> None:
        """Keep what is asked."""
        self._plan = plan
        self._build = build

    def _run(self, name: str, *arguments: str) -> programs.Outcome:
        library = self._build.library_path
        return programs.run(
            [str(Path(self._build.bindir, name)), *arguments],
            environment={"LD_LIBRARY_PATH": library} if library else None,
            timeout=_LONG,
        )

    def verify(self, place: Path, found: StoredBackup) -> int:
        """Compare every file with the manifest; return how many. Raises BackupError."""
        source = Path(self._plan.base, found.name, "data")
        manifest = source / "backup_manifest"
        if not manifest.is_file():
            raise BackupError(
                f"the backup_manifest of {found.name} is gone: nothing says what its files were",
                hint="make a new one; restore from an older one",
            )
        # where nothing is compressed Barman leaves a copy of it under the name of the backup
        copies = [path.name for path in place.glob("backup_manifest.*")]
        ignored = [part for name in (*_REWRITTEN, *copies) for part in ("--ignore", name)]
        # what was combined of an incremental one has no manifest: its own files are looked at
        looked_at = source if found.parent else place
        outcome = self._run(
            "pg_verifybackup", "--no-parse-wal", "--manifest-path", str(manifest), *ignored,
            str(looked_at),
        )  # fmt: skip
        if not outcome.ok:
            told = [line.partition("error: ")[2] for line in outcome.err.splitlines()]
            words = "; ".join(line for line in told if line) or outcome.words
            raise BackupError(
                f"{found.name} is not what was copied: {words[:500]}",
                hint="make a new one; restore from an older one",
            )
        self._must_be_its_own(place, found)
        return len(json.loads(manifest.read_text(encoding="utf-8"))["Files"])

    def _must_be_its_own(self, place: Path, found: StoredBackup) -> None:
        """Raise BackupError for files of another cluster; pg_verifybackup asks from 17 on."""
        control = self._run("pg_controldata", str(place)).out
        told, size = _SYSTEM.search(control), _SEGMENT.search(control)
        if told is None or (found.system_id and told[1] != found.system_id):
            raise BackupError(
                f"{found.name} is another cluster's: its system is"
                f" {told[1] if told else 'unknown'}, not {found.system_id}",
                hint="remove it from the repository; make a new base backup",
            )
        if size is None or int(size[1]) != found.segment:
            raise BackupError(
                f"the WAL of {found.name} has segments of {size[1] if size else 'unknown'} bytes,"
                f" and its backup.info says {found.segment}",
                hint="it cannot be trusted: make a new base backup",
            )

    def names(self) -> tuple[str, ...]:
        """Return the names of the WAL segments that have come, the open one too."""
        arrived = [p.name[:24] for p in listing.within(self._plan.streaming)]
        kept = [p.name[:24] for p in listing.two_down(self._plan.wals)]
        return tuple(sorted({n for n in (*arrived, *kept) if wal_reading.SEGMENT.match(n)}))

    def stored(self, found: StoredBackup) -> tuple[str, ...]:
        """Return the whole WAL segments that the repository has from a backup's first one on.

        Raises BackupError for one that is missing between them, or that is empty.
        """
        return wal_reading.stored([Path(self._plan.wals)], found)

    def read_wal(self, place: Path, found: StoredBackup, wanted: Sequence[str]) -> tuple[int, str]:
        """Read every WAL record from the backup on; return the segments, and the last record.

        Raises BackupError where one of the wanted segments is missing or is not what it should
        be, or where a record cannot be read before the end.
        """

        def dump(*arguments: str) -> programs.Outcome:
            return self._run("pg_waldump", *arguments)

        return wal_reading.read(place / WAL, found, wanted, dump)
