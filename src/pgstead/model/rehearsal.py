"""What is kept of a rehearsal: which texts were tried, and how it went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """A rehearsal that was done to its end, well or not."""

    database: str
    start: tuple[str, ...]  # the revisions that the copy was at
    revisions: Mapping[str, str]  # revision -> the digest of the text that was tried
    at: str  # when it ended, as `host.clock.stamp` writes it
    problems: tuple[str, ...]  # what must be looked at first; empty: it went well
    report: str  # the file that tells all of it

    def covers(self, wanted: Mapping[str, str]) -> bool:
        """Say whether these revisions, with these texts, were tried and went well."""
        return not self.problems and all(
            self.revisions.get(name) == digest for name, digest in wanted.items()
        )
