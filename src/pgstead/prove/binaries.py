"""The server's programs: are they, file by file, what was pinned or packaged?"""

from __future__ import annotations

import hashlib
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

from pgstead.catalog.tree_sums import pinned_sum
from pgstead.model.address import Capability
from pgstead.prove.finding import Answer, CannotTryError, Finding, answer, timed
from pgstead.prove.promise import promise
from pgstead.prove.witness import Witness

_PACKAGES = Path("/var/lib/dpkg/info")  # *.md5sums: "digest  path" (deb-md5sums(5))


def tree_sum(tree: Path) -> str:
    """Return the SHA-256 over names and contents of what runs, and where links lead."""
    whole = hashlib.sha256()
    for path in sorted(path for name in ("bin", "lib") for path in (tree / name).rglob("*")):
        name = path.relative_to(tree).as_posix()
        if path.is_symlink():
            whole.update(f"{name} -> {path.readlink()}\n".encode())
        elif path.is_file():
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            whole.update(f"{name} {digest}\n".encode())
    return whole.hexdigest()


@promise(
    "SRV-016",
    "the server's programs are those that were pinned or packaged, file by file",
    requirement="SRV-1",
    capability=Capability.SERVER,
)
def programs_are_the_pinned_ones(w: Witness) -> Iterator[Finding]:
    build = w.design.build
    try:
        yield (_fetched if build.origin == "toolchain" else _packaged)(Path(build.bindir))
    except OSError as error:
        raise CannotTryError(f"{build.bindir} cannot be read: {error.strerror}") from error


def _fetched(bindir: Path) -> Finding:
    tree, machine = bindir.parent, f"{sys.platform}-{platform.machine()}"
    pinned = pinned_sum(tree.name, machine)
    if pinned is None:
        raise CannotTryError(f"no sum is pinned for {tree.name} on {machine}", could_try=False)
    with timed() as watch:
        found = tree_sum(tree)
    told = answer(f"SHA-256 over bin and lib of {tree}", found, found, watch)
    return told.shows(
        holds=found == pinned,
        expected=pinned,
        hint="stop what runs, remove the tree, and `pgstead toolchain add` fetches it anew",
    )


def _packaged(bindir: Path) -> Finding:
    with timed() as watch:
        wanted = dict(_of_package(bindir))
        # MD5 is what packages carry: it shows what was changed or mixed up, no forger
        odd = [p for p, digest in wanted.items() if _md5(p) != digest]
    if not wanted:
        raise CannotTryError(
            f"{bindir} belongs to no package whose sums are known here", could_try=False
        )
    said = f"other than packaged: {', '.join(odd)}" if odd else f"{len(wanted)} programs"
    told: Answer[list[str]] = answer(f"the sums of packages for {bindir}", said, odd, watch)
    return told.shows(
        holds=not odd, expected="each as its package has it", hint="`dpkg --verify` names them"
    )


def _of_package(bindir: Path) -> Iterator[tuple[str, str]]:
    below = f"{bindir.resolve()}/"
    for sums in _PACKAGES.glob("postgresql*.md5sums"):
        for line in sums.read_text(encoding="utf-8").splitlines():
            digest, _, name = line.partition("  ")
            if f"/{name}".startswith(below):
                yield f"/{name}", digest


def _md5(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest()
    except FileNotFoundError:
        return "missing"


PROMISES = (programs_are_the_pinned_ones,)
