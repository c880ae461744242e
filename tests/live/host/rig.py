"""A stead by hand, without the pipeline: the adapters, a real server and a real PgBouncer.

`PGSTEAD_TEST_BINDIR` names the server's binaries, `PGSTEAD_TEST_PGBOUNCER` the pooler; else the
tests' shared toolchain is taken.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, cast

from pgstead.host import binaries, facts, leftovers, pgbouncer, processes, state
from pgstead.host.cluster import DataDirectory
from pgstead.host.files import LocalFiles
from pgstead.host.pgbouncer import SocketConsole
from pgstead.host.sql import SocketSql
from pgstead.host.supervisor import LocalSupervisor
from pgstead.model.design import Design, Program
from pgstead.model.host import HostFacts, PoolerBuild, ServerBuild
from pgstead.model.layout import Layout
from pgstead.model.resources import Cluster
from tests.fix_stead import toolchain
from tests.free_ports import free_port

# What a path may hold, and what has broken a configuration file somewhere.
NASTY = 'a b\'c "d" 50% %(x)s #e $f'


@dataclass(frozen=True)
class Named:
    """As much of a design as initdb asks for."""

    name: str = "rig"
    superuser: str = "postgres"


@dataclass
class Rig:
    """One stead's adapters in a directory of its own."""

    directory: Path
    port: int = field(default_factory=free_port)
    pooler_port: int = field(default_factory=free_port)

    @cached_property
    def host(self) -> HostFacts:
        """This machine."""
        return facts.gather()

    @cached_property
    def layout(self) -> Layout:
        """Where it lies."""
        return state.locate(self.directory, None, self.host)

    @cached_property
    def build(self) -> ServerBuild:
        """The server's binaries."""
        named = os.environ.get("PGSTEAD_TEST_BINDIR")
        if not named:
            self.share_toolchain()
            return binaries.find(None, 18, self.layout, self.host)
        major = binaries.probe(named, "manifest", self.layout, self.host).major
        return binaries.find(named, major, self.layout, self.host)

    def share_toolchain(self) -> None:
        """Link the binaries that were fetched once for all tests."""
        link = Path(self.layout.toolchain)
        if not link.is_symlink():
            link.parent.mkdir(parents=True, exist_ok=True)
            if link.is_dir():
                link.rmdir()
            link.symlink_to(toolchain(18))

    @cached_property
    def pooler(self) -> PoolerBuild:
        """The pooler's binary."""
        named = os.environ.get("PGSTEAD_TEST_PGBOUNCER")
        if not named:
            self.share_toolchain()
        return pgbouncer.find(named, self.layout, self.host)

    @cached_property
    def sql(self) -> SocketSql:
        """The administrative socket."""
        return SocketSql(self.layout.socket, self.port)

    @cached_property
    def console(self) -> SocketConsole:
        """The pooler's console."""
        return SocketConsole(self.layout.pooler, self.pooler_port, self.host.server_user)

    @cached_property
    def supervisor(self) -> LocalSupervisor:
        """The supervisor."""
        return LocalSupervisor(self.layout, self.host)

    @cached_property
    def cluster(self) -> DataDirectory:
        """The data directory."""
        return DataDirectory(self.layout, self.host, self.build, "rig-1")

    @property
    def named(self) -> Design:
        """As much of a design as initdb asks for."""
        return cast("Design", Named())

    @property
    def wanted(self) -> Cluster:
        """What initdb is asked for."""
        provider = "builtin" if self.build.major >= 17 else "libc"
        return Cluster(self.build.major, True, "UTF8", provider, "C.UTF-8", "rig-1")

    def make(self) -> None:
        """Make the data directory and what the programs read."""
        state.prepare(self.layout, self.host)
        self.cluster.initialize(self.wanted, self.named)
        files, user = LocalFiles(self.layout.state), self.host.server_user
        server = self.layout.server

        def write(path: PurePosixPath, text: str) -> None:
            files.write(path, text, mode=0o600, owner=user)

        quoted = {
            name: str(path).replace("\\", "\\\\").replace("'", "''")
            for name, path in {
                "hba_file": server / "pg_hba.conf",
                "ident_file": server / "pg_ident.conf",
                "log_directory": self.layout.server_log,
            }.items()
        }
        socket_directory = str(self.layout.socket).replace('"', '""').replace("'", "''")
        write(
            server / "pgstead.conf",
            f"port = {self.port}\nlisten_addresses = '127.0.0.1'\nlogging_collector = on\n"
            f"unix_socket_directories = '\"{socket_directory}\"'\n"
            "log_filename = 'postgres.log'\nshared_buffers = 32MB\n"
            + "".join(f"{name} = '{value}'\n" for name, value in quoted.items()),
        )
        write(server / "pg_hba.conf", "local all all peer map=pgstead\n")
        users = sorted({self.host.os_user, user})
        write(server / "pg_ident.conf", "".join(f"pgstead {name} postgres\n" for name in users))
        write(
            self.layout.pooler / "pgbouncer.ini",
            f"[databases]\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.pooler_port}\n"
            f"unix_socket_dir = {self.layout.pooler}\nauth_type = scram-sha-256\n"
            "admin_users = pgbouncer\n",
        )

    @property
    def postgres(self) -> Program:
        """The server as a program."""
        return Program(
            name="postgres",
            kind="postgres",
            command=(f"{self.build.bindir}/postgres", "-D", str(self.layout.data)),
            user=self.host.server_user,
            environment={"LC_ALL": "C", **self._libraries(self.build.library_path)},
            directory=str(self.layout.data),
            priority=10,
            stop_signal="INT",
        )

    @property
    def bouncer(self) -> Program:
        """The pooler as a program."""
        return Program(
            name="pgbouncer",
            kind="pgbouncer",
            command=(self.pooler.path, str(self.layout.pooler / "pgbouncer.ini")),
            user=self.host.server_user,
            environment=self._libraries(self.pooler.library_path),
            directory=str(self.layout.pooler),
            priority=20,
            stop_signal="QUIT",
        )

    @property
    def service(self) -> Program:
        """A program that takes --user and works on, as the HTTP services do."""
        return Program(
            name="api-a b/c%",
            kind="service",
            command=("python", "-c", "import time; time.sleep(600)", NASTY),
            user=self.host.service_user,
            environment={"TOLD": NASTY},
            directory="/",
            priority=30,
            stop_signal="TERM",
        )

    @property
    def receiver(self) -> Program:
        """A program in the place of what receives from the server."""
        return Program(
            name="wal-receiver",
            kind="archiver",
            command=("sleep", "600"),
            user=self.host.os_user,
            environment={},
            directory="/",
            priority=40,
            stop_signal="TERM",
        )

    def _libraries(self, path: str) -> dict[str, str]:
        return {"LD_LIBRARY_PATH": path} if path else {}

    def pid(self, name: str) -> int:
        """Return the pid that a program became, by its record."""
        written = leftovers.record(self.layout, name)
        assert written is not None, f"{name} was never started"
        return written.pid

    def kill(self, pid: int) -> None:
        """Kill, as a machine out of memory would."""
        os.kill(pid, signal.SIGKILL)

    def said(self, name: str) -> str:
        """Return a program's own output."""
        return Path(self.layout.log(name)).read_text()

    def remove(self) -> None:
        """End everything, and prove that nothing is left."""
        if Path(self.layout.run).is_dir():
            self.supervisor.shutdown()
            left = list(leftovers.everything(self.layout))
            left += leftovers.supervisors(self.layout) + leftovers.keepers(self.layout)
            assert not left, f"left behind: {left}"
        shutil.rmtree(self.directory, ignore_errors=True)


def soon(condition: Callable[[], Any], *, within: float = 120, what: str = "it") -> float:
    """Wait until something holds; return the seconds it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < within, f"{what}: not within {within:g} s"
        time.sleep(0.02)
    return time.monotonic() - began


@contextmanager
def rig_in(name: str) -> Iterator[Rig]:
    """Give a rig in a directory with this name; everything is removed afterwards."""
    above = Path(tempfile.mkdtemp(prefix="rig-", dir="/tmp"))
    above.chmod(0o755)
    directory = above / name
    directory.mkdir(exist_ok=True)
    rig = Rig(directory)
    try:
        yield rig
    finally:
        rig.remove()
        shutil.rmtree(above, ignore_errors=True)


def alive(pid: int) -> bool:
    """Say whether a process runs."""
    return processes.look(pid) is not None
