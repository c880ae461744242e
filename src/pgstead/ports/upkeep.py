"""Protocol of the history of upkeep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pgstead.model.upkeep import Chore, ChoreRun, Outcome, UpkeepRun


class UpkeepHistory(Protocol):
    """What was done to tables and indexes, in a file. All raise StateDirectoryError."""

    def begin(self, cause: str, planned: int, *, whole: bool = True) -> int:
        """Write down that a run begins; return its number."""
        ...

    def end(self, run: int, outcome: Outcome, error: str = "") -> None:
        """Write down how a run ended."""
        ...

    def begin_chore(
        self, run: int, chore: Chore, before: Mapping[str, float | None], role: str
    ) -> int:
        """Write down that a chore begins, with its figures; return its number."""
        ...

    def end_chore(
        self,
        number: int,
        outcome: Outcome,
        *,
        after: Mapping[str, float | None] | None = None,
        error: str = "",
    ) -> None:
        """Write down how a chore ended."""
        ...

    def settle(self) -> int:
        """Mark what runs whose process is gone as killed; return how many runs."""
        ...

    def runs(self, limit: int = 100) -> Sequence[UpkeepRun]:
        """Return the last runs, newest first."""
        ...

    def chores(self, limit: int = 5000, run: int | None = None) -> Sequence[ChoreRun]:
        """Return the last chores, newest first; of one run where it is named."""
        ...

    def forget(self, days: int) -> None:
        """Remove what ended longer ago."""
        ...
