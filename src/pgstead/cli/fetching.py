"""Options that have the repository fetched from its copy before a command does its work."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pgstead.cli.backing import size
from pgstead.cli.console import Console
from pgstead.cli.invocation import invocation_of
from pgstead.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

_OPTIONS = (
    click.option("--from", "origin", type=click.Choice(["s3"]), help="Fetch the repository first."),
    click.option("--key", type=click.Path(path_type=Path), help="With --from: the key, exported."),
)


def from_copy(function: Callable[..., int | None]) -> Callable[..., int | None]:
    """Give a command `--from` and `--key`; the repository is there when it begins."""

    @functools.wraps(function)
    def fetched(**options: Any) -> int | None:
        origin, key = options.pop("origin"), options.pop("key")
        if key is not None and not origin:
            raise UsageError("--key goes with --from s3", hint="the repository here has its key")
        if origin:
            _fetch(key)
        return function(**options)

    for option in reversed(_OPTIONS):
        fetched = option(fetched)
    return fetched


def _fetch(key: Path | None) -> None:
    from pgstead.cli.wiring import prepared, wire
    from pgstead.workflows.fetch import fetch

    invocation = invocation_of()
    console = Console(invocation)
    wired = wire(invocation.manifest, console)
    with console.working(), prepared(wired):
        done = fetch(wired.design, wired.ports, key)
    if not console.json:
        told = f"{len(done.backups)} base backups, {size(done.size)}, up to {done.at:%F %T} UTC"
        console.line(f"fetched from {done.source}: {told}")
