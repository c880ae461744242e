"""Sets of packages that programs beside us run on: pinned with hashes, never mixed with ours."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from pgstead.errors import HostError, NoNetworkError
from pgstead.host import pip
from pgstead.host.files import problem, sync_directory
from pgstead.model.layout import Layout

_LINE = re.compile(
    r"^(?P<name>[\w.-]+)==(?P<version>[^\s;]+)(?: ; python_full_version (?P<side><|>=) '3\.12')?"
)


@dataclass(frozen=True, slots=True)
class PackageSet:
    """A set: its pins are `catalog/data/<name>.txt`."""

    name: str
    package: str  # the one that the version is taken of, and that must be importable
    does_without: str  # the end of a hint: what to write into the manifest instead

    @property
    def pins(self) -> str:
        """The text of the file that pins them."""
        place = resources.files("pgstead.catalog").joinpath(f"data/{self.name}.txt")
        return place.read_text(encoding="utf-8")

    @property
    def version(self) -> str:
        """The version that is pinned for this interpreter."""
        return self._version(sys.version_info[:2])

    def _version(self, python: tuple[int, ...]) -> str:
        side = ">=" if python >= (3, 12) else "<"
        for line in self.pins.splitlines():
            match = _LINE.match(line)
            if match and match["name"] == self.package and match["side"] in (None, side):
                return match["version"]
        raise AssertionError(f"{self.name}.txt pins no {self.package}")

    def tag(self, python: str) -> str:
        """Return the name of its directory for a Python: compiled modules fit one version of it."""
        told = tuple(map(int, python.split(".")))
        return f"{self._version(told)}-cpython-{''.join(map(str, told))}"

    def place(self, layout: Layout) -> Path:
        """Return where it lies, or would."""
        tag = f"{self.version}-{sys.implementation.cache_tag}"
        return Path(layout.toolchain, self.name, tag)

    def is_there(self, layout: Layout) -> bool:
        """Say whether it has been fetched."""
        return (self.place(layout) / self.package / "__init__.py").is_file()

    def fetch(self, layout: Layout) -> None:
        """Fetch it unless it is there. Raises HostError or NoNetworkError."""
        if self.is_there(layout):
            return
        place = self.place(layout)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            for left in place.parent.glob(".fetching-*"):  # of a run that was killed
                shutil.rmtree(left, ignore_errors=True)
            with tempfile.TemporaryDirectory(prefix=".fetching-", dir=place.parent) as temporary:
                tree = Path(temporary, "packages")
                self._install(tree)
                tree.chmod(0o755)
                tree.rename(place)
                sync_directory(place.parent)
        except OSError as error:
            raise problem(error, place, "placing") from error

    def _install(self, tree: Path) -> None:
        pins = resources.files("pgstead.catalog").joinpath(f"data/{self.name}.txt")
        with resources.as_file(pins) as path:
            where = ("--target", str(tree), "--requirement", str(path))
            outcome = pip.run("install", "--require-hashes", "--no-compile", *where, timeout=600)
        if outcome.ok and (tree / self.package).is_dir():
            return
        told = " ".join(outcome.err.splitlines()[-2:])
        if "hash" in told.lower():
            raise HostError(
                f"fetching {self.package} failed: {told}",
                hint="what came is not what was pinned; the mirror in between may have changed it",
            )
        raise NoNetworkError(
            f"fetching {self.package} failed: {told}",
            hint="check network, proxy and pip's configuration, or do without:"
            f" {self.does_without}",
        )
