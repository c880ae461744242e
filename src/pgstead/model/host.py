"""Facts of the machine and of the binaries at hand, as values that `design` reasons from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What the design must know of the machine. Memory in bytes."""

    memory: int  # of the host
    memory_limit: int | None  # of the cgroup (v1 or v2), None where unlimited
    memory_source: str  # "/sys/fs/cgroup/memory.max" or "/proc/meminfo"
    cpus: float  # usable: affinity and cgroup quota taken into account
    cpus_source: str
    ipv6: bool  # ::1 can be bound
    hostnames: tuple[str, ...]  # of this machine, without localhost
    os_user: str  # who runs pgstead
    server_user: str  # who runs the servers; the same, unless os_user is root
    service_user: str  # who runs the HTTP services; never server_user when os_user is root
    backup_tools: BackupTools | None = None  # None: no backups are made here
    network: ContainerNetwork | None = None  # None: all runs on this machine itself

    @property
    def usable_memory(self) -> int:
        """The smaller of host and cgroup, in bytes."""
        return self.memory if self.memory_limit is None else min(self.memory, self.memory_limit)


@dataclass(frozen=True, slots=True)
class ContainerNetwork:
    """The containers that a stead is spread over, as they see each other."""

    hosts: Mapping[str, str]  # by door: the name that it is reached by
    near: tuple[str, ...]  # networks that only the stead's own containers are in
    gateway: str  # the network that clients of published ports come from


@dataclass(frozen=True, slots=True)
class Interpreter:
    """The Python that has pgstead."""

    path: str
    places: tuple[str, ...] = ()  # the directories that it reads: its environment, its own


@dataclass(frozen=True, slots=True)
class ServerBuild:
    """One set of PostgreSQL binaries."""

    major: int
    version: str  # "18.6"
    bindir: str
    origin: str  # "manifest", "system", "toolchain"
    tls: bool
    io_uring: bool
    lz4: bool
    zstd: bool
    modules: frozenset[str]  # loadable: "auth_delay", "pg_stat_statements", "pgaudit", ...
    library_path: str = ""  # LD_LIBRARY_PATH that it needs, empty for none
    born: int = 0  # the major whose initdb decided who sorts in the cluster; 0: its own
    notifies: bool = False  # it tells systemd when it is ready (sd_notify(3))


@dataclass(frozen=True, slots=True)
class PoolerBuild:
    """One PgBouncer."""

    version: tuple[int, int, int]
    path: str
    origin: str
    library_path: str = ""
    notifies: bool = False  # it tells systemd when it is ready (sd_notify(3))

    @property
    def text(self) -> str:
        """The version as people write it."""
        return ".".join(map(str, self.version))

    @property
    def prepares(self) -> bool:
        """Protocol-level prepared statements (NEWS.md, 1.21.0)."""
        return self.version >= (1, 21, 0)


@dataclass(frozen=True, slots=True)
class BackupTools:
    """Barman and the native programs that it calls, beside PostgreSQL's own."""

    version: str  # of Barman: "3.19.1"
    python: str  # the interpreter that runs it
    packages: str  # the directory that Barman is imported from: an environment of its own
    rsync: str
    gpg: str
    library_path: str = ""  # LD_LIBRARY_PATH that rsync and gpg need, empty for none
    s3: str = ""  # the directory that boto3 is imported from; empty where nothing asks for it

    @property
    def launch(self) -> tuple[str, ...]:
        """What starts Barman with its own packages, and none of the user's or of ours."""
        program = (
            "import sys; sys.path[:] = [p for p in sys.path if not p.endswith('site-packages')];"
            " sys.path.insert(0, sys.argv.pop(1)); sys.argv[0] = 'barman';"
            " from barman.cli import main; main()"
        )
        return self.python, "-I", "-c", program, self.packages
