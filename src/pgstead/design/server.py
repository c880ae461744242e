"""The server's settings, each with its reason."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from pgstead.catalog import lookup
from pgstead.design import audit
from pgstead.design import memory as memory_bound
from pgstead.design.budget import Connections
from pgstead.design.logging import settings as logging_settings
from pgstead.design.memory import GB, MB, Load, Memory
from pgstead.design.reasons import Value
from pgstead.manifest.document import Manifest
from pgstead.manifest.quantities import written_duration, written_size
from pgstead.model.design import Environment
from pgstead.model.host import HostFacts, ServerBuild
from pgstead.model.layout import Layout
from pgstead.model.resources import Setting

PRELOADED = ("pg_stat_statements", "auto_explain", "auth_delay", "passwordcheck")
# Their show hooks tell what the socket of the asking session has: 0 on a Unix socket
# (src/backend/libpq/pqcomm.c, pq_getkeepalivesidle). The file is compared instead.
UNSHOWN = frozenset({
    "tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count", "tcp_user_timeout",
})  # fmt: skip
_BYTE_UNITS: Mapping[str, int] = MappingProxyType(
    {"B": 1, "kB": 1024, "MB": MB, "GB": GB, "8kB": 8192}
)
_DEPTH: Mapping[str, int] = MappingProxyType({"nvme": 256, "ssd": 200, "network": 100, "hdd": 4})
_RANDOM: Mapping[str, str] = MappingProxyType(
    {"nvme": "1.1", "ssd": "1.1", "network": "1.2", "hdd": "4"}
)


def cpus(manifest: Manifest, host: HostFacts) -> tuple[float, str]:
    """Return the CPUs to reckon with, and where that comes from."""
    hint = manifest.server.cpus
    if hint is not None and hint < host.cpus:
        return hint, "server.cpus"
    return host.cpus, host.cpus_source


def load(manifest: Manifest, host: HostFacts, connections: Connections) -> Load:
    """Return what the memory is divided among."""
    count = max(1, math.floor(cpus(manifest, host)[0]))
    choices = manifest.server.settings
    share = {"oltp": 4, "mixed": 2, "analytics": 1}[manifest.server.workload]
    gather, parallel = min(count // share, 8), count
    if "max_parallel_workers_per_gather" in choices:
        gather = int(choices["max_parallel_workers_per_gather"].value)
    if "max_parallel_workers" in choices:
        parallel = int(choices["max_parallel_workers"].value)
    return Load(connections.servers, gather, parallel, manifest.server.workload)


def divided(manifest: Manifest, host: HostFacts, connections: Connections) -> Memory:
    """Divide the memory, with the manifest's choices taken as they are."""
    bound, source = memory_bound.limit(manifest, host)
    fixed: dict[str, int | float] = {}
    for name in ("shared_buffers", "wal_buffers", "work_mem", "maintenance_work_mem"):
        if name in manifest.server.settings:
            value = manifest.server.settings[name].value
            fixed[name] = _bytes(manifest.server.major, name, value)
    if "hash_mem_multiplier" in manifest.server.settings:
        fixed["hash_mem_multiplier"] = float(manifest.server.settings["hash_mem_multiplier"].value)
    if fixed.get("wal_buffers", 0) < 0:
        fixed["wal_buffers"] = 16 * MB  # -1: a 32nd of shared_buffers, at most one WAL segment
    return memory_bound.divide(bound, source, load(manifest, host, connections), fixed)


def _bytes(major: int, name: str, value: str) -> int:
    return int(lookup.canonical(major, name, value)) * _BYTE_UNITS[lookup.spec(major, name).unit]


def derive(
    manifest: Manifest,
    host: HostFacts,
    build: ServerBuild,
    layout: Layout,
    connections: Connections,
    memory: Memory,
) -> dict[str, Value]:
    """Return every setting that pgstead derives, by name."""
    values = [
        *_memory(memory, manifest, host),
        *_connections(connections),
        *_parallel(manifest, host, memory.load),
        *_storage(manifest, build, cpus(manifest, host)),
        *_wal(manifest, build),
        *_sessions(),
        *_autovacuum(),
        *_libraries(manifest, build),
        *logging_settings(manifest, layout),
    ]
    return {value.name: value for value in values}


def _memory(memory: Memory, manifest: Manifest, host: HostFacts) -> Iterator[Value]:
    shown = {
        "limit": f"{written_size(memory.limit // MB * MB)} = {memory.limit_source}",
        "backends": f"{memory.load.backends} (the connection budget's sum)",
        "processes with work_mem": str(memory.load.workers),
        "sum": f"{written_size(memory.total // MB * MB)} within the limit",
    }
    bound = (
        "(limit - shared_buffers - wal_buffers - maintenance - processes) / "
        "(hash_mem_multiplier x processes)"
    )

    def value(name: str, text: str, formula: str, source: str) -> Value:
        return Value(name, text, formula, source, shown)

    half = manifest.environment in (Environment.DEVELOPMENT, Environment.TEST)
    cache = (memory.limit if half else host.usable_memory) * 3 // 4
    cache = max(min(cache, memory.limit * 3 // 4) // MB, 1)
    yield value(
        "shared_buffers",
        written_size(memory.shared_buffers),
        "25 % of the limit, at least 256MB, at most 40 % or 16GB",
        "SRV-3",
    )
    yield value("effective_cache_size", f"{cache}MB", "75 % of the limit", "SRV-3")
    yield value("work_mem", written_size(memory.work_mem), bound, "SRV-3")
    yield value(
        "hash_mem_multiplier",
        f"{memory.hash_mem_multiplier:g}",
        "2, or 1 where work_mem's floor needs the room",
        "the memory bound",
    )
    maintenance = written_size(memory.maintenance_work_mem)
    yield value(
        "maintenance_work_mem", maintenance, "5 % of the limit, 128MB to 2GB, as it fits", "SRV-3"
    )
    yield value(
        "autovacuum_work_mem", maintenance, "maintenance_work_mem, so that the sum holds", "SRV-10"
    )
    yield value("wal_buffers", written_size(memory.wal_buffers), "16MB, one WAL segment", "SRV-3")


def _connections(connections: Connections) -> Iterator[Value]:
    sums = {
        "server connections": f"{connections.servers} (pgstead explain budget)",
        "reserved": str(connections.superuser_reserved + connections.reserved),
    }
    yield Value(
        "max_connections",
        str(connections.max_connections),
        "200, or the budget's sum and the reserved ones where that is more",
        "SRV-3, SRV-5",
        sums,
    )
    yield Value(
        "superuser_reserved_connections",
        str(connections.superuser_reserved),
        "pgstead itself and a person beside it always get in",
        "SRV-5",
    )
    if connections.reserved:
        yield Value(
            "reserved_connections",
            str(connections.reserved),
            "the monitoring role gets in when all else is full",
            "SRV-5",
        )


def _parallel(manifest: Manifest, host: HostFacts, shared: Load) -> Iterator[Value]:
    count, source = cpus(manifest, host)
    inputs = {"cpus": f"{count:g} ({source})", "workload": manifest.server.workload}
    whole = max(1, math.floor(count))
    yield Value(
        "max_worker_processes", str(max(8, whole + 4)), "cpus + 4, at least 8", "SRV-4", inputs
    )
    yield Value("max_parallel_workers", str(shared.parallel), "one per CPU", "SRV-4", inputs)
    yield Value(
        "max_parallel_workers_per_gather",
        str(shared.per_gather),
        "cpus / 4 (oltp), / 2 (mixed), / 1 (analytics), at most 8",
        "SRV-4",
        inputs,
    )
    yield Value(
        "max_parallel_maintenance_workers",
        str(max(1, min(4, whole // 2))),
        "cpus / 2, 1 to 4; they share one maintenance_work_mem",
        "SRV-4",
        inputs,
    )


def _storage(
    manifest: Manifest, build: ServerBuild, available: tuple[float, str]
) -> Iterator[Value]:
    storage = manifest.server.storage
    inputs = {"storage": storage}
    depth = str(_DEPTH[storage])
    yield Value(
        "random_page_cost",
        _RANDOM[storage],
        "by storage: a seek costs little on SSD",
        "SRV-3",
        inputs,
    )
    yield Value("effective_io_concurrency", depth, "by storage", "SRV-3", inputs)
    yield Value("maintenance_io_concurrency", depth, "as effective_io_concurrency", "SRV-4", inputs)
    yield Value("default_statistics_target", "100", "100", "SRV-3")
    if build.major < 18:
        return
    count, source = available
    # Containers (seccomp) and hardened hosts (kernel.io_uring_disabled) refuse io_uring, and the
    # server then does not start at all; so it is the manifest's choice.
    yield Value(
        "io_method",
        "worker",
        "worker: runs everywhere; io_uring, where the build has it, is chosen in server.settings",
        "SRV-11",
        {"io_uring in this build": "yes" if build.io_uring else "no"},
    )
    workers = max(3, min(32, math.ceil(count / 2)))
    yield Value(
        "io_workers",
        str(workers),
        "cpus / 2, 3 to 32; used with io_method = worker",
        "SRV-11",
        {"cpus": f"{count:g} ({source})"},
    )


def _wal(manifest: Manifest, build: ServerBuild) -> Iterator[Value]:
    served = manifest.environment in (Environment.STAGING, Environment.PRODUCTION)
    largest = {"oltp": 4, "mixed": 8, "analytics": 16}[manifest.server.workload] if served else 1
    inputs = {"environment": manifest.environment.value, "workload": manifest.server.workload}
    yield Value("wal_level", "replica", "continuous archiving and replicas need it", "SRV-3")
    yield Value(
        "max_wal_size",
        f"{largest}GB",
        "1GB in development and test; 4, 8 or 16 GB by workload elsewhere",
        "SRV-3",
        inputs,
    )
    yield Value(
        "min_wal_size", "256MB" if served else "80MB", "recycled, not created anew", "SRV-3", inputs
    )
    yield Value(
        "checkpoint_timeout", "15min" if served else "5min", "fewer full pages", "SRV-4", inputs
    )
    yield Value("checkpoint_completion_target", "0.9", "0.9: spread the writes", "SRV-3")
    method = "lz4" if build.lz4 else "zstd" if build.zstd else "pglz"
    yield Value(
        "wal_compression",
        method,
        "lz4 where the build has it: cheaper than the writes it saves",
        "SRV-4",
    )
    if manifest.backup.enabled and manifest.backup.incremental:
        yield Value("summarize_wal", "on", "incremental backups are made from summaries", "BAK-1")
    yield Value("max_wal_senders", "10", "backup, streaming WAL, replicas", "BAK-1")
    yield Value("max_replication_slots", "10", "one per sender", "BAK-1")
    yield Value(
        "max_slot_wal_keep_size",
        f"{max(10, largest * 4)}GB",
        "a forgotten slot cannot fill the disk",
        "TEL-7",
    )
    yield Value("fsync", "on", "an acknowledged commit survives", "REL-2")
    yield Value("full_page_writes", "on", "torn pages are mended", "REL-2")
    yield Value("synchronous_commit", "on", "an acknowledged commit survives", "REL-2")


def _sessions() -> Iterator[Value]:
    yield Value("password_encryption", "scram-sha-256", "SCRAM only", "ROL-4")
    yield Value("TimeZone", "UTC", "UTC everywhere", "SRV-14")
    yield Value("log_timezone", "UTC", "UTC everywhere", "SRV-14")
    yield Value("tcp_keepalives_idle", "60", "60 s", "SRV-3")
    yield Value("tcp_keepalives_interval", "10", "10 s", "SRV-3")
    yield Value("tcp_keepalives_count", "5", "5", "SRV-3")
    yield Value(
        "idle_in_transaction_session_timeout",
        "5min",
        "nobody holds a snapshot for ever; the application's is shorter",
        "SRV-8",
    )
    yield Value("authentication_timeout", "30s", "a half-open login is dropped", "ROL-6")
    yield Value("client_connection_check_interval", "10s", "queries of gone clients end", "REL-1")


def _autovacuum() -> Iterator[Value]:
    yield Value("autovacuum", "on", "on", "SRV-10")
    workers = str(memory_bound.AUTOVACUUM_WORKERS)
    yield Value("autovacuum_max_workers", workers, "4 workers", "SRV-10")
    yield Value("autovacuum_naptime", "30s", "30 s", "SRV-10")
    yield Value("autovacuum_vacuum_scale_factor", "0.05", "5 % of the rows", "SRV-10")
    yield Value("autovacuum_analyze_scale_factor", "0.025", "2.5 % of the rows", "SRV-10")


def _libraries(manifest: Manifest, build: ServerBuild) -> Iterator[Value]:
    asked = (*PRELOADED, audit.PGAUDIT) if audit.wanted(manifest) else PRELOADED
    loaded = [name for name in asked if name in build.modules]
    missing = [name for name in asked if name not in build.modules]
    yield Value(
        "shared_preload_libraries",
        ", ".join(loaded),
        f"what the build has of {', '.join(asked)}",
        "ROL-4, TEL-5, AUD-1",
        {"missing": ", ".join(missing) or "none"},
    )
    if "auth_delay" in loaded:
        yield Value(
            "auth_delay.milliseconds", "500", "a failed login waits, on the direct door", "ROL-4"
        )
    if "pg_stat_statements" in loaded:
        yield Value("pg_stat_statements.max", "5000", "distinct statements kept", "TEL-5")
        yield Value("pg_stat_statements.track", "all", "those within functions too", "TEL-5")
        yield Value("track_io_timing", "on", "slow statements tell their I/O", "TEL-5")
        yield Value("compute_query_id", "on", "log and statistics name the same statement", "TEL-5")
    if "auto_explain" in loaded:
        slow = written_duration(manifest.server.slow_statement)
        yield Value("auto_explain.log_min_duration", slow, "server.slow_statement", "TEL-5")
        if build.major >= 16:  # before, it logs no parameters at all
            # Parameters may be personal data (ENC-5); the plan is what is needed.
            yield Value("auto_explain.log_parameter_max_length", "0", "no values in logs", "ENC-5")
        yield Value("auto_explain.log_nested_statements", "on", "those in functions too", "TEL-5")


def resources(major: int, values: Mapping[str, Value]) -> Iterator[Setting]:
    """Yield what the running server must show."""
    for value in values.values():
        if value.name in UNSHOWN:
            continue
        spec = lookup.spec(major, value.name)
        canonical = lookup.canonical(major, value.name, value.text)
        shown = lookup.display(major, value.name, canonical)
        yield Setting(value.name, canonical, display=shown, context=spec.context)
