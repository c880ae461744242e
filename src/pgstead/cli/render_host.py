"""`pgstead render systemd|nftables|tunnel|files`: files for a host, to look at or to install."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import invocation_of
from pgstead.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgstead.model.design import Design
    from pgstead.model.file_tree import TreeFile

_out = click.option(
    "--out",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write them below DIR; else they are printed.",
)


@new_command(
    "systemd",
    ("pgstead render systemd", "look at the units"),
    ("pgstead render systemd --out build", "as a tree, for a package or Ansible"),
    ("pgstead render systemd --out /", "on the host itself, as root"),
    exit_0="rendered",
)
@_out
def systemd(out: Path | None) -> None:
    """Render units, users, directories and log rotation for a host with systemd.

    As soon as the target is in /etc/systemd/system, systemd runs the stead: `pgstead up` writes and
    starts units, `down` stops them.
    """
    from pgstead.cli.wiring import interpreter
    from pgstead.render import host_files

    _give(host_files.units(_hosted(), interpreter()).files, out)


@new_command(
    "nftables",
    ("pgstead render nftables", "look at the rules"),
    ("pgstead render nftables --out /", "then: nft -f /etc/nftables.d/pgstead-NAME.nft"),
    exit_0="rendered",
)
@_out
def nftables(out: Path | None) -> None:
    """Render firewall rules: only the networks of the manifest reach the ports of the stead."""
    from pgstead.render import nftables as rules

    _give(rules.files(_hosted()), out)


@new_command(
    "tunnel",
    ("pgstead render tunnel --out build", "sshd's part, and the administrator's"),
    exit_0="rendered",
)
@_out
def tunnel(out: Path | None) -> None:
    """Render a way in for administrators: SSH that forwards the ports of the stead, and no more."""
    from pgstead.render import tunnel as way

    _give(way.files(_hosted()), out)


@new_command(
    "files",
    ("pgstead render files --out build", ".env.example, postgres-tuning.conf, and others"),
    exit_0="rendered",
)
@_out
def files(out: Path | None) -> None:
    """Render what specifications know by name: .env.example, tuning, scraping, a backup script."""
    from pgstead.render import named_files

    _give(named_files.files(_hosted(), sys.executable), out)


def _hosted() -> Design:
    """Return the design as root brings it about on a host that was prepared for it.

    Whoever asks: units name the users that sysusers.d makes, not the one who renders them.
    """
    from dataclasses import replace

    from pgstead.cli.wiring import designed, read_manifest, survey

    found = survey(read_manifest(invocation_of().manifest))
    host = found.ground.host
    if host.os_user == host.server_user:  # an ordinary user
        server = found.source.manifest.server.user or "postgres"
        host = replace(host, os_user="root", server_user=server)
    host = replace(host, service_user="pgstead")
    return designed(replace(found, ground=replace(found.ground, host=host)))


def _give(made: Sequence[TreeFile], out: Path | None) -> None:
    """Print the files, or write all of them; a file that is somebody else's stops it before."""
    invocation = invocation_of()
    console = Console(invocation)
    if out is not None:
        _write(made, out.resolve())
    if invocation.json:
        console.data({"files": {str(f.path): f.text for f in made}, "out": out})
    elif out is not None:
        for file in made:
            console.line(str(out / file.path))
    else:
        for file in made:
            console.line(f"# ==> /{file.path} <==")
            console.line(file.text)


def _write(made: Sequence[TreeFile], root: Path) -> None:
    from pathlib import PurePosixPath

    from pgstead.host.files import LocalFiles
    from pgstead.model.file_tree import MARK

    files = LocalFiles(PurePosixPath(root))
    for file in made:
        found = files.read(file.path)
        if found is None and not (root / file.path).exists():
            continue
        lines = found.text.splitlines() if found is not None else []
        ours = any(MARK in line for line in lines[:3]) and file.owner in [*lines, ""]
        if not ours:
            raise UsageError(
                f"{root / file.path} is there already, and was not made by `pgstead render` for"
                " this stead",
                hint="nothing was written; move it away, or choose another directory: --out DIR",
            )
    for file in made:
        files.write(file.path, file.text, mode=file.mode)
