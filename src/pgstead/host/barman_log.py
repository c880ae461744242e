"""Barman's log: why it refused something, which it says nowhere else."""

from __future__ import annotations

import re
from pathlib import Path

from pgstead.host import listing

_LAST = 2**16  # bytes: what one call writes is less
# 2026-11-23 07:57:10,375 [68] barman.server ERROR: Check 'replication slot' failed for server 'x'
_COMPLAINT = re.compile(
    rb"^[\d-]+ [\d:,]+ \[\d+\] barman\.\w+ (?:WARNING|ERROR): (.+)$", re.MULTILINE
)
_ELSEWHERE = "Check the log"  # of what a call prints; it is in the log too, and says as little


def reasons(log: Path, begun: int, words: str) -> str:
    """Return what was complained of since the log was `begun` bytes long, where `words` name it.

    Others may have written meanwhile, as the agent does: it is what to look at, and no more.
    """
    if _ELSEWHERE not in words:
        return ""
    now = listing.size_of(log)
    since = begun if begun <= now else 0  # it was begun anew
    try:
        with log.open("rb") as file:
            file.seek(max(since, now - _LAST))
            text = file.read()
    except FileNotFoundError:
        return ""
    said = (" ".join(line.decode("utf-8", "replace").split()) for line in _COMPLAINT.findall(text))
    return " / ".join(dict.fromkeys(line for line in said if _ELSEWHERE not in line))[-500:]
