"""`pgstead doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import invocation_of
from pgstead.errors import ExitStatus

if TYPE_CHECKING:
    from pgstead.cli.wiring import Ground, Source
    from pgstead.host.doctor import Finding, Needs
    from pgstead.ports import Progress

_WIDTH = len("warning")


@new_command(
    "doctor",
    ("pgstead doctor", "look, and say what to do about what is missing"),
    ("pgstead doctor --fix", "fetch what is missing: binaries, PgBouncer, libraries"),
    exit_0="nothing is missing",
    exit_1="something is missing",
)
@click.option("--fix", "fixing", is_flag=True, help="Fetch what is missing and can be fetched.")
def command(fixing: bool) -> int:
    """Look whether this machine has all that the manifest needs.

    Nothing is changed without --fix; with it, what is missing is fetched into the state
    directory, without root. Exits with 0 when nothing that is needed is missing; warnings do
    not count.
    """
    from pgstead.cli import at_rest
    from pgstead.cli.wiring import read_manifest, stand
    from pgstead.host.doctor import examine

    invocation = invocation_of()
    console = Console(invocation)
    source = read_manifest(invocation.manifest)
    if fixing:
        with console.working():
            fix(source, console)
    ground = stand(source)
    findings = examine(_needs(source), ground.layout, ground.host)
    findings += at_rest.examine(source, ground)
    missing = [finding for finding in findings if finding.grave and not finding.ok]
    if invocation.json:
        places = {"bindir": _bindir(source, ground), "state": ground.layout.state}
        console.data({"ok": not missing, **places, "findings": findings})
    else:
        _print(console, findings)
    return ExitStatus.FAILED if missing else ExitStatus.DONE


def _bindir(source: Source, ground: Ground) -> str | None:
    """Return where the server's binaries lie, if they do."""
    from pgstead.errors import SteadError
    from pgstead.host import binaries

    server = source.manifest.server
    try:
        return binaries.find(server.bindir or None, server.major, ground.layout, ground.host).bindir
    except SteadError:
        return None


def fix(source: Source, progress: Progress) -> None:
    """Fetch what is missing and can be fetched; `up --fix` does it too."""
    from pgstead.cli.wiring import held, stand
    from pgstead.host import doctor

    ground: Ground = stand(source)
    with held(ground):
        doctor.fix(_needs(source), ground.layout, ground.host, progress.step)


def _needs(source: Source) -> Needs:
    from pgstead.host.doctor import Needs

    manifest = source.manifest
    ports = {manifest.server.port: "server.port"}
    if manifest.pooler.enabled:
        ports[manifest.pooler.port] = "pooler.port"
    for index, database in enumerate(manifest.databases):
        if database.service is not None:
            ports[database.service.port] = f"databases[{index}].service.port"
    return Needs(
        major=manifest.server.major,
        bindir=manifest.server.bindir or None,
        pooled=manifest.pooler.enabled,
        pooler_binary=manifest.pooler.binary or None,
        backed_up=manifest.backup.enabled,
        mirrored=manifest.backup.enabled and manifest.backup.s3 is not None,
        ports=ports,
    )


def _print(console: Console, findings: list[Finding]) -> None:
    words = [_word(finding) for finding in findings]
    for word, finding in zip(words, findings, strict=True):
        console.line(f"{word:<{_WIDTH}}  {finding.text}")
        if not finding.ok and finding.hint:
            console.line(f"{'':<{_WIDTH}}  hint: {finding.hint}")
    counts = [f"{words.count(word)} {word}" for word in ("ok", "warning", "MISSING")]
    console.line(", ".join(counts))
    if any(finding.fixable and not finding.ok for finding in findings):
        console.hint("`pgstead doctor --fix` fetches what is missing")


def _word(finding: Finding) -> str:
    if finding.ok:
        return "ok"
    return "MISSING" if finding.grave else "warning"
