"""The bounds hold for what runs: memory, and connections."""

from __future__ import annotations

from collections.abc import Iterator

from pgstead.model.address import Capability
from pgstead.prove.finding import Finding
from pgstead.prove.promise import promise
from pgstead.prove.witness import Witness

_MEMORY = """
SELECT pg_size_bytes(current_setting('shared_buffers')),
       pg_size_bytes(current_setting('wal_buffers')),
       pg_size_bytes(current_setting('work_mem')),
       current_setting('hash_mem_multiplier')::float,
       current_setting('max_parallel_workers')::int,
       CASE current_setting('autovacuum_work_mem') WHEN '-1'
            THEN pg_size_bytes(current_setting('maintenance_work_mem'))
            ELSE pg_size_bytes(current_setting('autovacuum_work_mem')) END,
       current_setting('autovacuum_max_workers')::int,
       current_setting('max_connections')::int
"""


@promise(
    "SRV-014",
    "the server's memory at full load stays below the machine's or the cgroup's limit",
    requirement="SRV-3 SRV-5",
    capability=Capability.SERVER,
)
def memory_is_bounded(w: Witness) -> Iterator[Finding]:
    told = w.look(_MEMORY)
    shared, wal, work, hashing, parallel, upkeep, vacuums, most = told.value[0]
    pooled = sum(d.pool_size + d.reserve_pool for d in w.design.pooler_databases)
    active = min(pooled or most, most) + parallel
    total = int(shared + wal + active * work * hashing + upkeep * vacuums)
    limit = w.design.host.usable_memory
    yield told.shows(
        holds=total <= limit,
        expected=f"at most {limit // 2**20} MiB",
        said=(
            f"{shared // 2**20} MiB shared + {active} x {work // 2**10} kB x {hashing:g}"
            f" + {vacuums} x {upkeep // 2**20} MiB = {total // 2**20} MiB"
            f" of {limit // 2**20} MiB"
        ),
        hint="`pgstead explain server.work_mem` shows the sum that was designed",
    )


@promise(
    "SRV-015",
    "all that may connect to the server at once finds a place",
    requirement="SRV-5",
    capability=Capability.SERVER,
)
def connections_fit(w: Witness) -> Iterator[Finding]:
    told = w.look(
        "SELECT sum(setting::int) FILTER (WHERE name = 'max_connections'),"
        " coalesce(sum(setting::int) FILTER (WHERE name <> 'max_connections'), 0)"
        " FROM pg_catalog.pg_settings WHERE name IN"
        " ('max_connections', 'superuser_reserved_connections', 'reserved_connections')"
    )
    most, reserved = map(int, told.value[0])
    shares = w.design.budget.servers
    wanted = sum(share.count for share in shares)
    parts = " + ".join(f"{s.count} {s.who}" for s in shares)
    yield told.shows(
        holds=wanted <= most - reserved,
        expected=f"{most} - {reserved} reserved to be enough",
        said=f"{parts} = {wanted} of {most} - {reserved} reserved",
        hint="raise max_connections, or lower the pools",
    )
    if w.door("pooler"):
        yield _pools_are_capped(w)


def _pools_are_capped(w: Witness) -> Finding:
    """Judge the caps: with a pool per user, only max_db_connections bounds their sum."""
    told = w.console("SHOW DATABASES")
    # `*` stands for names that pgbouncer.ini cannot hold; it is shown once somebody came by it.
    entries = [d for d in w.design.pooler_databases if d.name != "*"]
    wanted = {d.name: d.max_connections for d in entries}
    found = {str(r["name"]): int(r["max_connections"]) for r in told.value if r["name"] in wanted}
    said = ", ".join(f"{name} at most {count}" for name, count in sorted(found.items()))
    expected = ", ".join(f"{name} at most {count}" for name, count in sorted(wanted.items()))
    capped = all(0 < found.get(name, 0) <= count for name, count in wanted.items())
    return told.shows(holds=capped, expected=expected, said=said or "no database")


PROMISES = (memory_is_bounded, connections_fit)
