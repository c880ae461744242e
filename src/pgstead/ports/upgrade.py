"""Protocols of what takes a cluster from one major version to another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pgstead.model.resources import Cluster
    from pgstead.model.upgrade import Ground, Mode, RehearsedUpgrade, Upgrade


class UpgradeLog(Protocol):
    """What is written down of an upgrade, so that a later run knows of it."""

    def pending(self) -> Upgrade | None:
        """Return the one that was begun and has not ended."""
        ...

    def last(self) -> Upgrade | None:
        """Return the last one that ended well, for as long as it can be taken back."""
        ...

    def write(self, upgrade: Upgrade) -> None:
        """Write down how far it has come."""
        ...

    def drop(self) -> None:
        """Forget what was pending: nothing came of it."""
        ...

    def end(self, upgrade: Upgrade | None) -> None:
        """Forget what was pending; keep what came of it, or that it was taken back."""
        ...

    def rehearsed(self) -> RehearsedUpgrade | None:
        """Return what the last rehearsal showed."""
        ...


class UpgradeHost(Protocol):
    """The two data directories, and pg_upgrade between them. No server of ours runs meanwhile."""

    def ground(self) -> Ground:
        """Look at the machine."""
        ...

    def prepare(self, cluster: Cluster) -> None:
        """Make the new cluster beside the old one. Raises InitializationError."""
        ...

    def check(self, mode: Mode) -> None:
        """Have pg_upgrade look at the running server. Raises UpgradeError with its words."""
        ...

    def flush(self) -> None:
        """Have on the disk what was written so far, beside the data directory too."""
        ...

    def run(self, mode: Mode) -> None:
        """Upgrade what is stopped. Raises UpgradeError with pg_upgrade's words."""
        ...

    def swap(self, upgrade: Upgrade) -> None:
        """Give the new data directory its name; done already, or in part, is no error."""
        ...

    def unswap(self, upgrade: Upgrade) -> None:
        """Give the old data directory its name back."""
        ...

    def discard(self) -> None:
        """Remove the new cluster, end what works on either, and leave the old one startable."""
        ...

    def first_statistics(self) -> None:
        """Make what the planner must not be without; what was carried over stays."""
        ...

    def all_statistics(self) -> None:
        """Make the statistics anew, while all are served."""
        ...

    def remember(self, upgrade: Upgrade, *, back: bool = False) -> None:
        """Have state and manifest say which version counts from now on."""
        ...

    def set_aside(self, upgrade: Upgrade) -> str:
        """Put what was backed up of the old cluster aside; return where it is, or nothing."""
        ...

    def bring_back(self, upgrade: Upgrade) -> None:
        """Put what was set aside in the place of what was backed up since."""
        ...
