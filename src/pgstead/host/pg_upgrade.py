"""pg_upgrade between two data directories, as a program of the servers' user.

https://www.postgresql.org/docs/current/pgupgrade.html
It hands paths to shells, in double quotes and not escaped, and its sockets lie where it is told. So
it sees everything through links in a directory of plain name, and has configurations of its own.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pgstead.errors import HostError, UpgradeError
from pgstead.host import processes, programs, temporary
from pgstead.host.files import LocalFiles, problem
from pgstead.model.design import Design
from pgstead.model.host import ServerBuild
from pgstead.model.upgrade import Mode

MARK = "pgst-up-"
_HOURS = 3600.0
_MAP = "upgrade"
# Libraries that do nothing by themselves and that functions or settings of a database may need.
_LOADED = ("pg_stat_statements", "auto_explain", "pgaudit")
# A server writes them to its WAL when they change, and whoever replays that must have as much: a
# base backup that was made before could not be recovered any more, once the old server is back.
_REPLAYED = frozenset(
    {
        "max_connections", "max_worker_processes", "max_wal_senders", "max_prepared_transactions",
        "max_locks_per_transaction", "wal_level",
    }
)  # fmt: skip
_OUTPUT = "pg_upgrade_output.d"
_PROGRAMS = frozenset({"postgres", "pg_upgrade", "pg_dump", "pg_dumpall", "pg_restore", "psql"})
_CALLED = re.compile(rf"/\S*/{MARK}[^/\s]+")
_NOISE = re.compile(r"^(Performing|Checking|Setting|Finding|-+$|\s*$)|\bok$")


@dataclass(frozen=True)
class PgUpgrade:
    """One way from a data directory to another."""

    before: Design  # of what is in `source`
    design: Design  # of what comes to `target`; its users and limits count
    source: Path
    target: Path

    @property
    def _old(self) -> ServerBuild:
        return self.before.build

    @property
    def _new(self) -> ServerBuild:
        return self.design.build

    def check(self, mode: Mode) -> None:
        """Have it look at the running server, and change nothing. Raises UpgradeError."""
        self._call(mode, "--check")

    def run(self, mode: Mode) -> None:
        """Upgrade. Raises UpgradeError with its words."""
        self._call(mode)

    def _call(self, mode: Mode, *more: str) -> None:
        user = self.design.host.server_user
        with self._place(user) as place:
            command = [str(place / "new-bin" / "pg_upgrade"), *self._arguments(place)]
            command += [*_flags(mode, self._new.major), *more]
            if (setpriv := shutil.which("setpriv", path="/usr/bin:/bin")) is not None:
                command = [setpriv, "--pdeathsig", "KILL", "--", *command]
            library = self._new.library_path or self._old.library_path
            done = programs.run(
                command,
                user=user,
                environment={"LD_LIBRARY_PATH": library} if library else None,
                directory=str(place),
                timeout=48 * _HOURS,
                umask=0o077,
            )
        if not done.ok:
            end_strays(self.source, self.target)
            raise UpgradeError(
                f"pg_upgrade failed: {self._words(done)}",
                hint=f"what it did is in {self.target / _OUTPUT}; nothing of the old cluster"
                " was changed",
            )

    def _arguments(self, place: Path) -> Iterator[str]:
        for flag, name in (("-b", "old-bin"), ("-B", "new-bin"), ("-d", "old"), ("-D", "new")):
            yield from (flag, str(place / name))
        yield from ("-U", self.design.superuser, "-s", str(place), "-p", "50432", "-P", "50433")
        yield from ("-j", str(max(1, int(self.design.host.cpus))))
        yield from ("-o", f"-c config_file={place / 'old.conf'}")
        yield from ("-O", f"-c config_file={place / 'new.conf'}")

    @contextmanager
    def _place(self, user: str) -> Generator[Path]:
        """Give a directory of the servers' user, with links to all that pg_upgrade needs."""
        place = Path(tempfile.mkdtemp(prefix=MARK, dir=temporary.parent()))
        try:
            links = {
                "old": self.source,
                "new": self.target,
                "old-bin": Path(self._old.bindir),
                "new-bin": Path(self._new.bindir),
            }
            for name, target in links.items():
                (place / name).symlink_to(target)
            for name, design in (("old", self.before), ("new", self.design)):
                (place / f"{name}.conf").write_text(self._configuration(place, design))
            (place / "pg_hba.conf").write_text(f"local all all peer map={_MAP}\n")
            superuser = self.design.superuser
            (place / "pg_ident.conf").write_text(f'{_MAP} "{user}" "{superuser}"\n')
            _hand_over(place, user)
            yield place
        except OSError as error:
            raise problem(error, place, "preparing") from error
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def _configuration(self, place: Path, design: Design) -> str:
        settings = {
            "hba_file": str(place / "pg_hba.conf"),
            "ident_file": str(place / "pg_ident.conf"),
            "shared_preload_libraries": ",".join(n for n in _LOADED if n in design.build.modules),
            "shared_buffers": "128MB",
            "maintenance_work_mem": "128MB",
            "max_locks_per_transaction": "512",
            "max_connections": "100",
            "ssl": "off",
            "archive_mode": "off",
            "logging_collector": "off",
            "lc_messages": "C",
            "jit": "off",
        }
        if design is self.before:
            settings = {name: v for name, v in settings.items() if name not in _REPLAYED}
            settings |= {name: design.settings[name] for name in _REPLAYED & design.settings.keys()}
        return "".join(f"{name} = '{value}'\n" for name, value in settings.items())

    def _words(self, done: programs.Outcome) -> str:
        """Return what it complained of: the end of what it said, and its lists."""
        lines = [line.strip() for line in done.words.splitlines() if not _NOISE.search(line)]
        told = [line for line in lines if line not in ("", "*failure*", "Failure, exiting")]
        for path in sorted((self.target / _OUTPUT).rglob("*.txt")):
            told += [f"{path.name}: {line}" for line in _read(path).splitlines()[:5]]
        return " / ".join(told[-15:]) or f"it ended with status {done.status} and said nothing"


def end_strays(source: Path, target: Path) -> None:
    """End pg_upgrade, and the servers that it left on its two data directories.

    Another server on the old one stays: that is the one that serves.
    """
    found = [
        process
        for process in processes.everyone()
        if process.pid != os.getpid() and _is_stray(process, source, target)
    ]
    # immediate: what they wrote is thrown away, or recovered
    for process in found:
        stopping = signal.SIGQUIT if process.name == "postgres" else signal.SIGKILL
        processes.send(process, stopping)
    for process in processes.wait_until_gone(found, 10):
        processes.send(process, signal.SIGKILL)
    processes.wait_until_gone(found, 10)


def _is_stray(process: processes.Process, source: Path, target: Path) -> bool:
    """Say whether it came of pg_upgrade: by the place that it was called from, or works in."""
    if process.name not in _PROGRAMS:
        return False
    called = any(f"/{MARK}" in word for word in processes.arguments(process.pid))
    if process.name != "postgres":
        return called and any(_leads_to(process, place) for place in (source, target))
    places = [place for place in ([source, target] if called else [target]) if place.exists()]
    return any(processes.works_in(process.pid, place) for place in places)


def _leads_to(process: processes.Process, place: Path) -> bool:
    """Say whether a link in the directory that a process was called with leads to a place."""
    for word in processes.arguments(process.pid):
        match = _CALLED.search(word)
        if match is None:
            continue
        links = (Path(match[0], name) for name in ("old", "new"))
        if any(link.is_symlink() and link.readlink() == place for link in links):
            return True
    return False


def sweep(server: Path) -> None:
    """Remove what killed runs left for the data directories below one directory, and end them."""
    trusted = {os.geteuid(), server.stat().st_uid}  # anybody may make a directory there
    for place in temporary.parent().glob(f"{MARK}*"):
        if place.lstat().st_uid not in trusted:
            continue
        links = [place / name for name in ("old", "new")]
        if all(link.is_symlink() for link in links):
            source, target = (link.readlink() for link in links)
            if source.is_relative_to(server):
                end_strays(source, target)
                shutil.rmtree(place, ignore_errors=True)


def _flags(mode: Mode, major: int) -> tuple[str, ...]:
    match mode:
        case Mode.LINK:
            return ("--link",)
        case Mode.CLONE:
            return ("--clone",)
        case Mode.COPY:
            return ("--copy",) if major >= 16 else ()


def _hand_over(place: Path, user: str) -> None:
    who = programs.account(user)
    place.chmod(0o700)
    if who.is_me:
        return
    for path in (place, *place.iterdir()):
        os.chown(path, who.uid, who.gid, follow_symlinks=False)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def extensions(build: ServerBuild, user: str) -> frozenset[str]:
    """Return the extensions that come with some binaries. Raises HostError."""
    library = build.library_path
    told = programs.run(
        [str(Path(build.bindir, "pg_config")), "--sharedir"],
        user=user,
        environment={"LD_LIBRARY_PATH": library} if library else None,
    )
    places = [Path(told.out.strip())] if told.ok else []
    places += [Path(build.bindir).parent / part for part in ("share/postgresql", "share")]
    for place in places:
        found = frozenset(path.stem for path in (place / "extension").glob("*.control"))
        if found:
            return found
    raise HostError(
        f"there are no extensions beside the binaries in {build.bindir}",
        hint="`pgstead toolchain add MAJOR` fetches a complete set",
    )


def forget(files: LocalFiles, target: Path) -> None:
    """Remove what pg_upgrade left in the new data directory beside the data."""
    for name in (_OUTPUT, "delete_old_cluster.sh"):
        files.remove(PurePosixPath(target / name))
