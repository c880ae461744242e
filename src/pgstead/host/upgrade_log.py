"""What is written down of an upgrade: JSON files below `upgrade/` in the state."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import PurePosixPath
from typing import Any

from pgstead.errors import UpgradeError
from pgstead.host.files import LocalFiles
from pgstead.model.layout import Layout
from pgstead.model.upgrade import Mode, Phase, RehearsedUpgrade, Release, Seconds, Upgrade

PENDING = "pending.json"
LAST = "last.json"
REHEARSED = "rehearsed.json"
BEFORE = "before.toml"  # the manifest that the old version was brought up by


class UpgradeFiles:
    """`ports.UpgradeLog` on this machine."""

    def __init__(self, layout: Layout) -> None:
        """Keep where the files are."""
        self._folder = layout.upgrade
        self._files = LocalFiles(layout.state)

    def pending(self) -> Upgrade | None:
        """Return the one that was begun and has not ended. Raises UpgradeError."""
        return self._upgrade(PENDING)

    def last(self) -> Upgrade | None:
        """Return the last one that ended well, for as long as it can be taken back."""
        return self._upgrade(LAST)

    def write(self, upgrade: Upgrade) -> None:
        """Write down how far it has come."""
        self._put(PENDING, asdict(upgrade))

    def drop(self) -> None:
        """Forget what was pending: nothing came of it."""
        self._files.remove(self._folder / PENDING)

    def end(self, upgrade: Upgrade | None) -> None:
        """Forget what was pending; keep what came of it, or that it was taken back."""
        if upgrade is None:
            self._files.remove(self._folder / LAST)
        else:
            self._put(LAST, asdict(upgrade))
        self.drop()

    def rehearsed(self) -> RehearsedUpgrade | None:
        """Return what the last rehearsal showed."""
        told = self._read(REHEARSED)
        if told is None:
            return None
        try:
            told |= {
                "old": Release(**told["old"]),
                "new": Release(**told["new"]),
                "mode": Mode(told["mode"]),
                "seconds": Seconds(**told["seconds"]),
                "differences": tuple(told["differences"]),
                "notes": tuple(told["notes"]),
                "statistics": tuple(told["statistics"]),
            }
            return RehearsedUpgrade(**told)
        except (KeyError, TypeError, ValueError):
            return None  # of another pgstead; a rehearsal is made again

    def keep_rehearsal(self, shown: RehearsedUpgrade) -> None:
        """Keep what a rehearsal showed, over the one before."""
        self._put(REHEARSED, asdict(shown))

    def _upgrade(self, name: str) -> Upgrade | None:
        told = self._read(name)
        if told is None:
            return None
        try:
            told |= {
                "old": Release(**told["old"]),
                "new": Release(**told["new"]),
                "mode": Mode(told["mode"]),
                "phase": Phase(told["phase"]),
            }
            return Upgrade(**told)
        except (KeyError, TypeError, ValueError) as error:
            raise _unreadable(self._folder / name) from error

    def _read(self, name: str) -> dict[str, Any] | None:
        found = self._files.read(self._folder / name)
        if found is None:
            return None
        try:
            return json.loads(found.text)
        except ValueError as error:
            raise _unreadable(self._folder / name) from error

    def _put(self, name: str, told: dict[str, Any]) -> None:
        self._files.make_directory(self._folder, mode=0o755)
        text = json.dumps(told, indent=2) + "\n"
        self._files.write(self._folder / name, text, mode=0o644)


def _unreadable(path: PurePosixPath) -> UpgradeError:
    return UpgradeError(
        f"{path} does not say how far an upgrade has come",
        hint="look which data directories are in server/, and ask for help before you remove any",
    )
