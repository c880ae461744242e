"""The memory bound: what all parts may take together never exceeds what the server may have.

shared_buffers + wal_buffers
  + work_mem x hash_mem_multiplier x (backends + min(backends x per_gather, max_parallel_workers))
  + maintenance_work_mem x (autovacuum workers + 2 by hand)
  + overhead per process  <=  limit
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from pgstead.errors import BudgetError
from pgstead.manifest.document import Manifest
from pgstead.manifest.quantities import written_size
from pgstead.model.design import Environment, Notice
from pgstead.model.host import HostFacts

MB = 1024**2
GB = 1024**3
BASE = 32 * MB  # postmaster, background processes, shared memory beside the buffers
PER_PROCESS = 2 * MB  # private memory of an idle backend with warm catalogue caches
BY_HAND = 2  # CREATE INDEX or VACUUM by migrator and admin at once
AUTOVACUUM_WORKERS = 4  # SRV-10
FLOORS: Mapping[str, int] = MappingProxyType({  # SRV-3
    "shared_buffers": 256 * MB,
    "work_mem": 16 * MB,
    "maintenance_work_mem": 128 * MB,
    "wal_buffers": 16 * MB,
})  # fmt: skip
LEAST: Mapping[str, int] = MappingProxyType({
    "shared_buffers": 16 * MB,
    "work_mem": 256 * 1024,
    "maintenance_work_mem": 4 * MB,
    "wal_buffers": MB,
})  # fmt: skip
_SHARED_MOST = 16 * GB  # more helps few; the operating system's cache does the rest
_WORK_MOST: Mapping[str, int] = MappingProxyType(
    {"oltp": 64 * MB, "mixed": 128 * MB, "analytics": 512 * MB}
)


@dataclass(frozen=True, slots=True)
class Load:
    """What the memory is divided among."""

    backends: int  # that roles may open together
    per_gather: int
    parallel: int  # max_parallel_workers
    workload: str

    @property
    def workers(self) -> int:
        """How many processes may use work_mem at once."""
        return self.backends + min(self.backends * self.per_gather, self.parallel)

    @property
    def processes(self) -> int:
        """How many processes there may be."""
        return self.backends + self.parallel + AUTOVACUUM_WORKERS + BY_HAND


@dataclass(frozen=True, slots=True)
class Memory:
    """How the memory is divided, in bytes."""

    limit: int
    limit_source: str
    load: Load
    shared_buffers: int
    wal_buffers: int
    work_mem: int
    hash_mem_multiplier: float
    maintenance_work_mem: int

    @property
    def overhead(self) -> int:
        """What processes take beside what is configured."""
        return BASE + self.load.processes * PER_PROCESS

    @property
    def maintenance(self) -> int:
        """What maintenance may take together."""
        return self.maintenance_work_mem * (AUTOVACUUM_WORKERS + BY_HAND)

    @property
    def work(self) -> int:
        """What sorts and hashes may take together, one per process."""
        return int(self.work_mem * self.hash_mem_multiplier) * self.load.workers

    @property
    def total(self) -> int:
        """The sum that stays within the limit."""
        fixed = self.shared_buffers + self.wal_buffers + self.overhead
        return fixed + self.maintenance + self.work

    def lines(self) -> str:
        """Return the sum line by line."""
        each = written_size(self.work_mem)
        rows = (
            ("shared_buffers", self.shared_buffers, ""),
            ("wal_buffers", self.wal_buffers, ""),
            (
                "work_mem",
                self.work,
                f"{each} x {self.hash_mem_multiplier:g} x {self.load.workers} processes",
            ),
            (
                "maintenance_work_mem",
                self.maintenance,
                f"{written_size(self.maintenance_work_mem)} x {AUTOVACUUM_WORKERS + BY_HAND}",
            ),
            ("processes", self.overhead, f"{self.load.processes} x {PER_PROCESS // MB} MB + base"),
        )
        told = [
            f"  {name:<20}  {size // MB:>8} MB  {detail}".rstrip() for name, size, detail in rows
        ]
        last = f"  {'sum':<20}  {self.total // MB:>8} MB  of {self.limit // MB} MB"
        return "\n".join([*told, f"{last} ({self.limit_source})"])


def limit(manifest: Manifest, host: HostFacts) -> tuple[int, str]:
    """Return what the server may take, and where that comes from."""
    usable, source = host.usable_memory, host.memory_source
    if manifest.server.memory is not None and manifest.server.memory < usable:
        # Whoever names a figure has decided what the server may have; nothing is taken off.
        given = manifest.server.memory
        return given, f"{written_size(given // MB * MB)} (server.memory)"
    if manifest.environment in (Environment.DEVELOPMENT, Environment.TEST):
        # Other programs run beside the server on a laptop or a CI machine.
        return usable // 2, f"50 % of {written_size(usable // MB * MB)} ({source})"
    return usable, f"{written_size(usable // MB * MB)} ({source})"


def divide(bound: int, source: str, load: Load, fixed: Mapping[str, int | float]) -> Memory:
    """Divide the memory. `fixed` holds what the manifest chose. Raises BudgetError."""
    smallest = _with(Memory(bound, source, load, **_least(), hash_mem_multiplier=1.0), fixed)
    if smallest.total > bound:
        raise BudgetError(
            f"the memory does not add up, even with the smallest values\n{smallest.lines()}",
            hint="give the server more memory (server.memory, the cgroup's limit), or make the "
            "pools smaller",
            key="server.memory",
        )
    memory = replace(smallest, shared_buffers=_fitting(smallest, "shared_buffers", _shared(bound)))
    memory = _with(memory, fixed)
    for name, wish in (
        ("wal_buffers", FLOORS["wal_buffers"]),
        ("work_mem", FLOORS["work_mem"] if memory.total < bound // 2 else LEAST["work_mem"]),
        ("maintenance_work_mem", FLOORS["maintenance_work_mem"]),
        ("work_mem", FLOORS["work_mem"]),
    ):
        memory = _with(replace(memory, **{name: _fitting(memory, name, wish)}), fixed)
    return _grown(memory, fixed)


def _least() -> dict[str, int]:
    return dict(LEAST)


def _with(memory: Memory, fixed: Mapping[str, int | float]) -> Memory:
    return replace(memory, **fixed) if fixed else memory


def _shared(bound: int) -> int:
    """25 % of the memory, at least the floor, never above 40 % (SRV-3)."""
    return min(max(bound // 4, FLOORS["shared_buffers"]), bound * 2 // 5, _SHARED_MOST)


def _fitting(memory: Memory, name: str, wish: int) -> int:
    """Return as much of a wish as fits within the bound, in whole MB (work_mem in 64 kB)."""
    have = int(getattr(memory, name))
    if wish <= have:
        return have
    step = 64 * 1024 if name == "work_mem" else MB
    one = replace(memory, **{name: have + step}).total - memory.total
    room = max(0, (memory.limit - memory.total) // one)
    return min(wish, have + room * step) // step * step


def _grown(memory: Memory, fixed: Mapping[str, int | float]) -> Memory:
    """Use what is left: hash_mem_multiplier 2 first, then larger areas."""
    if "hash_mem_multiplier" not in fixed:
        doubled = replace(memory, hash_mem_multiplier=2.0)
        memory = doubled if doubled.total <= memory.limit else memory
    wishes = (
        ("maintenance_work_mem", min(memory.limit // 20, 2 * GB)),
        ("work_mem", _WORK_MOST[memory.load.workload]),
    )
    for name, wish in wishes:
        if name not in fixed and memory.total <= memory.limit:
            found = _fitting(memory, name, wish)
            step = MB if found >= MB else 64 * 1024
            memory = replace(memory, **{name: found // step * step})
    return memory


def notices(memory: Memory) -> tuple[Notice, ...]:
    """Say which floors of SRV-3 the memory does not allow."""
    return tuple(
        Notice(
            code=f"floor-not-reached-{name}",
            text=f"{name} is {written_size(int(getattr(memory, name)))}, below the floor of "
            f"{written_size(floor)} (SRV-3): {memory.limit_source} is too little for "
            f"{memory.load.backends} connections",
            hint="give the server more memory, or make the pools smaller",
            severity="warning",
        )
        for name, floor in FLOORS.items()
        if int(getattr(memory, name)) < floor
    )
