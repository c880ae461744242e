"""`pgstead render`: the stead as files for others to run it."""

from __future__ import annotations

from pgstead.cli.command import CommandGroup
from pgstead.cli.render_compose import compose

command = CommandGroup(
    "render",
    help="Write what runs the same stead in containers.",
    examples=(("pgstead render compose", "compose.yml, Dockerfile and all that it needs"),),
)
command.add_command(compose)
