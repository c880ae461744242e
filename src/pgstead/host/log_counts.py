"""Errors by SQLSTATE and failed logins, counted from what server and pooler log.

No statistics view knows them. Counted is what is logged from the agent's start on: a counter that
begins anew is what Prometheus expects of a process that was started anew.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from pgstead.model.design import Design
from pgstead.model.telemetry import Metric, MetricKind, Sample

_AT_ONCE = 8 << 20  # bytes of a log in one look; the rest is read by the next ones
MOST = 60  # pairs of database and SQLSTATE; what is beyond them is counted together
OTHER = "other"
_SEVERE = re.compile(rb'"error_severity":"(?:ERROR|FATAL|PANIC)"')
# Class 28 is "Invalid Authorization Specification" (the manual, appendix A).
_REFUSED = "28"
_DENIED = "42501"  # insufficient_privilege; refused by a policy, too
_REFUSED_BY_POOLER = re.compile(
    rb"pooler error: (?:password|SASL|SCRAM|certificate|peer|PAM|ldap|login|auth)",
    re.IGNORECASE,
)

ERRORS = Metric(
    "pgstead_server_errors_total", MetricKind.COUNTER, "{error}",
    "Errors that the server has logged since the agent began.", ("datname", "sqlstate"),
    most=MOST + 1,
)  # fmt: skip
LOGINS = Metric(
    "pgstead_failed_logins_total", MetricKind.COUNTER, "{login}",
    "Logins that were refused at a door since the agent began.", ("door",), most=2,
)  # fmt: skip
METRICS = (ERRORS, LOGINS)


class Tail:
    """The lines that were added to a file, or to the newest one of a folder."""

    def __init__(self, folder: Path, pattern: str) -> None:
        """Begin at the end of what is there."""
        self._folder = folder
        self._pattern = pattern
        self._path = self._newest()
        self._offset = _size(self._path)

    def lines(self) -> Iterator[bytes]:
        """Yield what was added since the last time, whole lines only. Raises OSError."""
        newest = self._newest()
        if newest is None:
            raise FileNotFoundError(f"no {self._pattern}")
        if self._path is not None and self._path != newest and self._path.exists():
            yield from self._added(self._path)  # what came before the rotation
        if newest != self._path:
            self._path, self._offset = newest, 0
        yield from self._added(newest)

    def _added(self, path: Path) -> Iterator[bytes]:
        with path.open("rb") as file:
            if _size(path) < self._offset:
                self._offset = 0  # last week's file was overwritten
            file.seek(self._offset)
            found = file.read(_AT_ONCE)
        whole = found.rfind(b"\n") + 1
        self._offset += whole
        yield from found[:whole].splitlines()

    def _newest(self) -> Path | None:
        try:
            return max(self._folder.glob(self._pattern), key=lambda path: path.stat().st_mtime_ns)
        except (OSError, ValueError):
            return None


class LogCounts:
    """What the logs of a stead's server and pooler have counted up to."""

    def __init__(self, design: Design) -> None:
        """Begin to count now."""
        self._server = Tail(Path(design.layout.server_log), "*.json")
        self._pooler: Tail | None = None
        if design.pooler is not None:
            self._pooler = Tail(Path(design.layout.pooler), "pgbouncer.log")
        # a client may name any database: only those that there are make series
        self._known = {"postgres", *(database.name for database in design.databases)}
        # from 0 on: what a counter that appears has grown by nobody can tell
        self._errors = Counter({(d.name, _DENIED): 0 for d in design.databases})
        self._logins = {"direct": 0, "pooler": 0}

    def look(self) -> Iterator[Sample]:
        """Read what was logged since, and yield the counters."""
        at = datetime.now(UTC)
        try:
            for line in self._server.lines():
                self._count(line)
        except OSError as error:
            reason = f"the server's log cannot be read: {error.strerror or error}"
            yield Sample(ERRORS.name, None, at, reason=reason)
            yield Sample(LOGINS.name, None, at, (("door", "direct"),), reason)
        else:
            for (database, state), count in self._errors.items():
                told = (("datname", database), ("sqlstate", state))
                yield Sample(ERRORS.name, float(count), at, told)
            yield self._refused("direct", at)
        if self._pooler is not None:
            yield self._at_pooler(self._pooler, at)

    def _at_pooler(self, log: Tail, at: datetime) -> Sample:
        try:
            self._logins["pooler"] += sum(
                _REFUSED_BY_POOLER.search(line) is not None for line in log.lines()
            )
        except OSError as error:
            reason = f"the pooler's log cannot be read: {error.strerror or error}"
            return Sample(LOGINS.name, None, at, (("door", "pooler"),), reason)
        return self._refused("pooler", at)

    def _refused(self, door: str, at: datetime) -> Sample:
        return Sample(LOGINS.name, float(self._logins[door]), at, (("door", door),))

    def _count(self, line: bytes) -> None:
        if not _SEVERE.search(line):
            return
        try:
            told = json.loads(line)
        except ValueError:
            return
        state, database = str(told.get("state_code", "")), str(told.get("dbname", ""))
        pair = (database if database in self._known else "", state)
        if pair not in self._errors and len(self._errors) >= MOST:
            pair = ("", OTHER)
        self._errors[pair] += 1
        if state[:2] == _REFUSED and told["error_severity"] == "FATAL":
            self._logins["direct"] += 1


def _size(path: Path | None) -> int:
    try:
        return path.stat().st_size if path is not None else 0
    except OSError:
        return 0
