"""`pgstead render compose`."""

from __future__ import annotations

import click

from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import invocation_of


@new_command(
    "compose",
    ("pgstead render compose", "into containers/, beside the manifest"),
    ("pgstead render compose --out /srv/shop", "a directory that another machine can be given"),
    ("docker compose --project-directory containers up --detach --build", "and start it"),
)
@click.option("--out", metavar="DIR", help="Where to. [default: containers, beside the manifest]")
@click.option(
    "--no-packages", is_flag=True, help="Leave out the Python packages: the images need them."
)
def compose(out: str | None, no_packages: bool) -> None:
    """Write compose.yml, a Dockerfile and all that the images are built of.

    The directory is complete: the manifest, the application's code, pgstead itself and every
    Python package as a wheel. What pip fetches it fetches here, as pip is configured here. There
    is no password in it: they are made in a volume when the stead comes up first.
    """
    from pgstead.cli.composing import directory_of, rendered
    from pgstead.cli.wiring import read_manifest

    invocation = invocation_of()
    console = Console(invocation)
    source = read_manifest(invocation.manifest)
    place = directory_of(source.manifest, source, out)
    with console.working():
        console.step("writing the files")
        made = rendered(source)
        changed = made.write(place, packages=not no_packages)
    if invocation.json:
        console.data(
            {
                "directory": place,
                "changed": changed,
                "containers": [container.name for container in made.composition.containers],
            }
        )
        return
    console.line(f"{place}: {len(changed)} changes" if changed else f"{place}: nothing to change")
    console.hint(
        f"`docker compose --project-directory {place} up --detach --build` starts it;"
        " `pgstead prove --target compose` tries it"
    )
