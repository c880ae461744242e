"""A copy of a stead's repository, to be damaged: its ports read the copy and write beside it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from pgstead.cli.wiring import Wired
from pgstead.host import gpg, gpg_homes
from pgstead.host.backup_catalog import BackupCatalog
from pgstead.host.barman import BarmanProgram
from pgstead.host.restored import LocalRestoredServer
from pgstead.host.restored_files import RestoredFiles
from pgstead.host.scratch import ScratchArea
from pgstead.host.sql import SocketSql
from pgstead.host.turns import Turns
from pgstead.model.backup import BackupPlan, State
from pgstead.model.design import Design
from pgstead.model.host import BackupTools
from pgstead.ports import Ports
from tests.fix_stead import LiveStead

_ZSTD = """
import sys, zstandard
data = sys.stdin.buffer.read()
if sys.argv[1] == "open":
    data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
else:
    data = zstandard.ZstdCompressor().compress(data)
sys.stdout.buffer.write(data)
"""


@dataclass(frozen=True)
class Repository:
    """A repository, with a catalog and everything else that commands read it by."""

    folder: Path  # where it lies
    design: Design
    ports: Ports
    tools: BackupTools

    @property
    def plan(self) -> BackupPlan:
        """How it is kept."""
        assert self.design.backup is not None
        return self.design.backup

    @property
    def name(self) -> str:
        """The oldest base backup that is done: all WAL follows it."""
        assert self.ports.backup is not None
        done = [b for b in self.ports.backup.engine.backups() if b.state is State.DONE]
        return done[0].name

    @property
    def base(self) -> Path:
        """The files of the oldest base backup."""
        return min(Path(self.plan.base).iterdir()) / "data"

    @property
    def tar(self) -> Path:
        """The archive of its data directory, as it lies there."""
        return next(self.base.glob("base.tar*"))

    @property
    def info(self) -> Path:
        """What Barman knows of it."""
        return min(Path(self.plan.repository, "stead", "meta").glob("*-backup.info"))

    @property
    def segments(self) -> list[Path]:
        """The WAL that is kept, oldest first."""
        found = [p for p in Path(self.plan.wals).glob("*/*") if len(p.name) == 24]
        return sorted(found, key=lambda path: path.name[8:])

    @property
    def index(self) -> Path:
        """Barman's list of the WAL."""
        return Path(self.plan.wals, "stead-xlog.db")

    def opened(self, sealed: Path) -> bytes:
        """Decrypt and decompress a file."""
        with gpg.keyring(self.tools, Path(self.plan.key), Path(self.plan.passphrase)) as home:
            command = ["--pinentry-mode", "loopback", "--passphrase-file", self.plan.passphrase]
            plain = self._gpg(home, *command, "--decrypt", str(sealed))
        return self._zstd("open", plain)

    def seal(self, path: Path, text: bytes) -> None:
        """Put something in a file's place, compressed and encrypted as Barman does."""
        path.unlink()
        packed = path.with_name("packed")
        packed.write_bytes(self.packed(text))
        with gpg.keyring(self.tools, Path(self.plan.key), None) as home:
            who = ["--recipient", self.plan.recipient, "--output", str(path)]
            self._gpg(home, *who, "--encrypt", str(packed))
        packed.unlink()

    def packed(self, text: bytes) -> bytes:
        """Compress something as Barman does."""
        return self._zstd("close", text)

    def unpacked(self, text: bytes) -> bytes:
        """Decompress something that Barman has compressed."""
        return self._zstd("open", text)

    def _gpg(self, home: Path, *arguments: str) -> bytes:
        environment = {"PATH": "/usr/bin:/bin", **gpg_homes.environment(self.tools, home)}
        command = [self.tools.gpg, "--quiet", "--batch", *arguments]
        return subprocess.run(command, env=environment, check=True, capture_output=True).stdout

    def _zstd(self, which: str, data: bytes) -> bytes:
        return subprocess.run(
            [sys.executable, "-c", _ZSTD, which],
            input=data,
            env={"PYTHONPATH": self.tools.packages},
            check=True,
            capture_output=True,
        ).stdout


def of_stead(stead: LiveStead) -> Repository:
    """Return the repository that a stead writes to."""
    wired = stead.wired
    return Repository(stead.directory, wired.design, wired.ports, _tools(wired))


def _tools(wired: Wired) -> BackupTools:
    found = wired.survey.tools
    assert found is not None
    return found


def copied(stead: LiveStead, into: Path, source: Path | None = None) -> Repository:
    """Copy the repository and the catalog of a stead, or of a copy of it.

    The copy is nobody's who runs: no server answers it, and nothing more arrives there.
    """
    wired = stead.wired
    design, tools = wired.design, _tools(wired)
    layout = replace(design.layout, state=PurePosixPath(into))
    shutil.copytree(source or design.layout.backup, layout.backup, symlinks=True)
    into.chmod(0o755)
    Path(layout.backup).chmod(0o711)
    assert design.backup is not None
    passphrase = into / "passphrase"
    shutil.copy(design.backup.passphrase, passphrase)
    conf = Path(layout.barman_conf)
    moved = {str(source or design.layout.backup): str(layout.backup)}
    moved |= {str((source or into).parent / "passphrase"): str(passphrase)}
    moved |= {design.backup.passphrase: str(passphrase)}
    text = conf.read_text()
    for before, after in moved.items():
        text = text.replace(before, after)
    conf.write_text(text)
    plan = replace(
        design.backup,
        repository=str(layout.backup / "repository"),
        passphrase=str(passphrase),
    )
    assert wired.ports.backup is not None
    backup = replace(
        wired.ports.backup,
        engine=BarmanProgram(plan, tools, layout, design.build.bindir),
        catalog=BackupCatalog(layout.backup_catalog, wired.ports.journal),
        restored=LocalRestoredServer(design),
        files=RestoredFiles(plan, design.build),
        turns=Turns(layout.backup, wired.ports.progress),
        scratch=ScratchArea(layout.backup),
    )
    nobody = SocketSql(PurePosixPath(into), 5432, design.superuser)
    ports = replace(wired.ports, backup=backup, sql=nobody)
    return Repository(into, replace(design, layout=layout, backup=plan), ports, tools)
