"""The machine below a stead: file systems, memory, the server's processes, certificates, logs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from pgstead.host import facts, handshake, log_counts, processes
from pgstead.host.log_counts import LogCounts
from pgstead.model.design import Design
from pgstead.model.telemetry import Cadence, Metric, MetricKind, Sample

_GAUGE = MetricKind.GAUGE
_PLACES = 3  # data, WAL, backup
_DOORS: Mapping[str, str] = {"direct": "server", "pooler": "pooler"}


def _gauge(name: str, unit: str, text: str, *attributes: str) -> Metric:
    return Metric(name, _GAUGE, unit, text, attributes, most=_PLACES if attributes else 1)


FREE = _gauge("pgstead_filesystem_free_bytes", "By", "Free to the server's user.", "place")
SIZE = _gauge("pgstead_filesystem_size_bytes", "By", "Size of the file system.", "place")
USED = _gauge("pgstead_filesystem_used_ratio", "1", "Used, as df reckons it.", "place")
INODES = _gauge("pgstead_filesystem_inodes_used_ratio", "1", "Inodes used.", "place")
MEMORY = _gauge("pgstead_memory_used_bytes", "By", "Memory that cannot be had at once.")
LIMIT = _gauge("pgstead_memory_limit_bytes", "By", "Memory of the host, or the cgroup's limit.")
MEMORY_USED = _gauge("pgstead_memory_used_ratio", "1", "Used, of the limit.")
PRIVATE = _gauge(
    "pgstead_server_private_bytes", "By", "Memory of the server beside what is shared."
)
LARGEST = _gauge("pgstead_backend_private_max_bytes", "By", "The same, of its largest process.")
PROCESSES = _gauge("pgstead_server_processes", "{process}", "Processes of the server.")
NOT_AFTER = Metric(
    "pgstead_certificate_not_after_time_seconds",
    _GAUGE,
    "s",
    "When the certificate ends that a door shows (Unix time).",
    ("role",),
    Cadence.SLOW,
    most=3,
)
REMAINING = Metric(
    "pgstead_certificate_remaining_seconds",
    _GAUGE,
    "s",
    "Until the certificate ends that a door shows.",
    ("role",),
    Cadence.SLOW,
    most=3,
)
METRICS = (
    *(FREE, SIZE, USED, INODES, MEMORY, LIMIT, MEMORY_USED),
    *(PRIVATE, LARGEST, PROCESSES, NOT_AFTER, REMAINING),
    *log_counts.METRICS,
)


class MachineVitals:
    """`ports.telemetry.Vitals` by /proc, statvfs(3) and a handshake at each door."""

    def __init__(self, design: Design) -> None:
        """Keep where everything lies."""
        self._design = design
        data = Path(design.layout.data)
        self._places = {"data": data, "wal": data / "pg_wal"}
        if design.backup is not None:
            self._places["backup"] = Path(design.backup.repository)
        self._logs: LogCounts | None = None  # begins with the first look, by who watches

    def metrics(self) -> tuple[Metric, ...]:
        """Return what can be measured here."""
        return METRICS

    def look(self, *, slow: bool = True) -> tuple[Sample, ...]:
        """Measure; what cannot be read has no value and a reason."""
        found = [s for name, path in self._places.items() for s in _file_system(name, path)]
        found += _memory()
        found += self._server()
        self._logs = self._logs or LogCounts(self._design)
        found += self._logs.look()
        if slow:
            found += self._certificates()
        return tuple(found)

    def _server(self) -> Iterator[Sample]:
        try:
            first = Path(self._design.layout.data, "postmaster.pid").read_text(encoding="utf-8")
            postmaster = int(first.splitlines()[0])
        except (OSError, ValueError, IndexError):
            for metric in (PRIVATE, LARGEST, PROCESSES):
                yield _unknown(metric, "the server does not run")
            return
        family = {process.pid: process for process in processes.everyone()}
        members = [
            p.pid
            for p in family.values()
            if p.pid == postmaster or processes.descends(p, postmaster, family)
        ]
        private = [held for pid in members if (held := _private(pid)) is not None]
        if not private:
            for metric in (PRIVATE, LARGEST, PROCESSES):
                yield _unknown(metric, "its processes are not visible here")
            return
        yield _known(PRIVATE, sum(private))
        yield _known(LARGEST, max(private))
        yield _known(PROCESSES, len(members))

    def _certificates(self) -> Iterator[Sample]:
        for name, role in _DOORS.items():
            door = self._design.door(name)
            if door is None or not door.tls:
                continue
            try:
                ends = handshake.not_after(door.here, door.port)
            except (OSError, ValueError) as error:
                reason = f"the door shows no certificate now: {type(error).__name__}"
                yield _unknown(NOT_AFTER, reason, role=role)
                yield _unknown(REMAINING, reason, role=role)
            else:
                yield from _ending(role, ends)
        ca = Path(self._design.layout.ca)
        try:
            read = x509.load_pem_x509_certificate(ca.read_bytes())
        except (OSError, ValueError):
            yield _unknown(REMAINING, "the CA's certificate cannot be read", role="ca")
        else:
            yield from _ending("ca", read.not_valid_after_utc)


def _ending(role: str, ends: datetime) -> Iterator[Sample]:
    yield _known(NOT_AFTER, ends.timestamp(), role=role)
    yield _known(REMAINING, (ends - datetime.now(UTC)).total_seconds(), role=role)


def _file_system(place: str, path: Path) -> Iterator[Sample]:
    try:
        told = os.statvfs(path)
    except OSError as error:
        reason = f"it cannot be looked at: {error.strerror}"
        for metric in (FREE, SIZE, USED):
            yield _unknown(metric, reason, place=place)
        return
    # as df(1) does: what root alone may use is neither free nor used
    used = told.f_blocks - told.f_bfree
    yield _known(FREE, told.f_bavail * told.f_frsize, place=place)
    yield _known(SIZE, told.f_blocks * told.f_frsize, place=place)
    yield _known(USED, used / max(used + told.f_bavail, 1), place=place)
    if told.f_files:
        yield _known(INODES, 1 - told.f_favail / told.f_files, place=place)


def _memory() -> Iterator[Sample]:
    try:
        used, limit = _cgroup() or _host()
    except (OSError, ValueError, KeyError, IndexError):
        for metric in (MEMORY, LIMIT, MEMORY_USED):
            yield _unknown(metric, "neither a cgroup nor /proc/meminfo tells it here")
        return
    yield _known(MEMORY, used)
    yield _known(LIMIT, limit)
    yield _known(MEMORY_USED, used / max(limit, 1))


def _host() -> tuple[int, int]:
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    told = {line.partition(":")[0]: int(line.split()[1]) * 1024 for line in lines if ":" in line}
    return told["MemTotal"] - told["MemAvailable"], told["MemTotal"]


def _cgroup() -> tuple[int, int] | None:
    """Return what the cgroup uses beside the cache that it can drop, and its limit."""
    limit, source = facts.memory_limit()
    if limit is None or limit >= _host()[1]:
        return None
    folder = Path(source).parent
    name = "memory.usage_in_bytes" if "limit_in_bytes" in source else "memory.current"
    used = int((folder / name).read_text(encoding="ascii"))
    lines = (folder / "memory.stat").read_text(encoding="ascii").splitlines()
    stat = {line.split()[0]: int(line.split()[1]) for line in lines}
    inactive = stat.get("total_inactive_file", stat.get("inactive_file", 0))
    return max(used - inactive, 0), limit


def _private(pid: int) -> int | None:
    """Return what a process holds alone (RssAnon): shared buffers would be counted many times."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon")), None)


def _known(metric: Metric, value: float, **attributes: str) -> Sample:
    return Sample(metric.name, float(value), datetime.now(UTC), tuple(attributes.items()))


def _unknown(metric: Metric, reason: str, **attributes: str) -> Sample:
    return Sample(metric.name, None, datetime.now(UTC), tuple(attributes.items()), reason)
