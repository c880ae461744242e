"""`pgstead logs [NAME]`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from pgstead.cli.command import command as new_command
from pgstead.cli.invocation import invocation_of
from pgstead.cli.logfiles import Logs, follow, known, last_lines
from pgstead.cli.place import find_manifest, state_directory
from pgstead.errors import NotRunningError, UsageError


@new_command(
    "logs",
    ("pgstead logs", "the last lines of every log"),
    ("pgstead logs postgres -n 100", "the last 100 lines of the server's"),
    ("pgstead logs pgbouncer -f", "and what comes, until Ctrl-C"),
)
@click.argument("name", required=False)
@click.option("-f", "--follow", "following", is_flag=True, help="Go on with what is written next.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="How many lines of each log.",
)
def command(name: str | None, following: bool, lines: int) -> None:
    """Show the logs of the server, the pooler and the services.

    Names are those of the programs that `pgstead status` shows, and `supervisord`.
    """
    state = state_directory(find_manifest(invocation_of().manifest))
    chosen = _chosen(state, name)
    teller = _Teller(as_json=invocation_of().json, headed=name is None)
    for log, paths in chosen.items():
        for line in last_lines(paths, lines):
            teller.tell(log, line)
    if not following:
        return
    try:
        for log, line in follow(lambda: {n: p for n, p in known(state).items() if n in chosen}):
            teller.tell(log, line)
    except KeyboardInterrupt:
        return  # that is how one leaves


class _Teller:
    """Prints lines, and whose they are where several logs are mixed."""

    def __init__(self, *, as_json: bool, headed: bool) -> None:
        self._as_json = as_json
        self._headed = headed
        self._last = ""

    def tell(self, log: str, line: str) -> None:
        if self._as_json:
            click.echo(json.dumps({"log": log, "line": line}))
            return
        if self._headed and log != self._last:
            click.echo(f"\n==> {log} <==" if self._last else f"==> {log} <==")
            self._last = log
        click.echo(line)


def _chosen(state: Path, name: str | None) -> Logs:
    logs = known(state)
    if not logs:
        raise NotRunningError(
            f"there is no log in {state}: nothing was brought up here yet", hint="`pgstead up`"
        )
    if name is None:
        return logs
    if name not in logs:
        raise UsageError(f"there is no log `{name}`", hint=f"there is: {', '.join(logs)}")
    return {name: logs[name]}
