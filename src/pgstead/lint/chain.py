"""The order of revisions: which of them are still to come."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from pgstead.errors import UsageError
from pgstead.model.revision import RevisionScript


def after(revisions: Sequence[RevisionScript], applied: Iterable[str]) -> frozenset[str]:
    """Return the revisions that are neither applied nor come before one that is."""
    parents = {r.name: r.parents for r in revisions}
    waiting, done = [*applied], set[str]()
    while waiting:
        name = waiting.pop()
        if name not in done:
            done.add(name)
            waiting += parents.get(name, ())
    return frozenset(parents.keys() - done)


def named(revisions: Sequence[RevisionScript], told: str) -> str:
    """Return the revision that a name or the beginning of one means. Raises UsageError."""
    if told == "base":
        return told
    names = [r.name for r in revisions]
    found = [told] if told in names else [n for n in names if n.startswith(told)]
    if len(found) == 1:
        return found[0]
    near = found or difflib.get_close_matches(told, names, n=3) or names[-3:]
    raise UsageError(
        f"{told!r} means {len(found)} revisions" if found else f"there is no revision {told!r}",
        hint=f"there is: {', '.join(near)}; `base` is before the first one",
    )
