"""One look of `top` as lines: 80 columns are enough, and what is not known is `-`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pgstead.cli.console import aligned, shortened
from pgstead.cli.diagnosis import figure

if TYPE_CHECKING:
    from pgstead.model.live import Picture

_SESSIONS = 12
_STATEMENTS = 6


def lines(stead: str, seen: Picture, wide: int) -> list[str]:
    """Return the lines."""
    used = "-" if seen.connections is None else "{:.0f} of {:.0f}".format(*seen.connections)
    states = ", ".join(f"{count:.0f} {state}" for state, count in seen.states) or "none"
    blocked = "-" if seen.blocked is None else str(seen.blocked)
    texts = [
        f'stead "{stead}", {seen.at:%H:%M:%S} UTC   connections {used}   blocked {blocked}',
        f"sessions: {states}",
    ]
    texts += _section(("database", "tps", "blocks read/s", "from cache"), _rates(seen))
    if seen.pools is not None:
        header = ("pool", "role", "clients", "waiting", "servers", "idle", "longest wait")
        texts += _section(header, _pools(seen))
    texts += _section(("pid", "role", "state", "for", "waits for", "query"), _sessions(seen))
    if seen.since is not None:
        header = (f"last {seen.since:.1f} s", "calls", "mean", "statement")
        texts += _section(header, _statements(seen))
    texts += ["", *(f"not seen: {one.what}: {one.reason}" for one in seen.unseen)]
    return [text if len(text) <= wide else f"{text[: wide - 3]}..." for text in texts]


def told(seen: Picture) -> dict[str, object]:
    """Return the same for programs; what is not known is null."""
    used, allowed = seen.connections or (None, None)
    return {
        "at": seen.at.isoformat(),
        "seconds": seen.since,
        "connections": {"used": used, "allowed": allowed},
        "states": dict(seen.states),
        "blocked": seen.blocked,
        "databases": seen.rates,
        "pools": seen.pools,
        "sessions": seen.sessions,
        "statements": seen.statements,
        "unseen": seen.unseen,
    }


def _section(header: Sequence[str], rows: Iterator[Sequence[str]]) -> Iterator[str]:
    found = [*rows]
    if found:
        yield ""
        yield from aligned([header, *found])


def _rates(seen: Picture) -> Iterator[Sequence[str]]:
    for rate in seen.rates:
        yield (
            rate.database,
            "-" if rate.transactions is None else f"{rate.transactions:.1f}",
            "-" if rate.blocks_read is None else f"{rate.blocks_read:.1f}",
            "-" if rate.hit_ratio is None else f"{rate.hit_ratio:.1%}",
        )


def _pools(seen: Picture) -> Iterator[Sequence[str]]:
    for row in seen.pools or ():
        wait = float(row["maxwait"]) + float(row["maxwait_us"]) / 1e6
        yield (
            str(row["database"]), str(row["user"]), str(row["cl_active"]), str(row["cl_waiting"]),
            str(row["sv_active"]), str(row["sv_idle"]), figure(wait, "s") if wait else "none",
        )  # fmt: skip


def _sessions(seen: Picture) -> Iterator[Sequence[str]]:
    for row in seen.sessions[:_SESSIONS]:
        waits = f"{row['blockers']} blockers" if row["blockers"] else str(row["wait"])
        state = str(row["state"]).replace("idle in transaction", "idle in tx")
        span = "-" if row["seconds"] is None else figure(max(row["seconds"], 0.0), "s")
        query = shortened(str(row["query"]), 200)
        yield str(row["pid"]), str(row["usename"]), state, span, waits or "-", query
    if len(seen.sessions) > _SESSIONS:
        yield ("", "", "", "", "", f"{len(seen.sessions) - _SESSIONS} more")


def _statements(seen: Picture) -> Iterator[Sequence[str]]:
    for one in seen.statements[:_STATEMENTS]:
        mean = one.seconds / one.calls
        query = shortened(one.query, 200)
        yield figure(one.seconds, "s"), f"{one.calls:.0f}", figure(mean, "s"), query
