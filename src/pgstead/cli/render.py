"""`pgstead render`: the design as files for those who run it: containers, systemd, a firewall."""

from __future__ import annotations

from pgstead.cli.command import CommandGroup
from pgstead.cli.render_compose import compose
from pgstead.cli.render_host import files, nftables, systemd, tunnel

command = CommandGroup(
    "render",
    help="Write the design as files for containers, systemd, and others.",
    examples=(
        ("pgstead render compose", "compose.yml, Dockerfile and all that it needs"),
        ("pgstead render systemd --out /", "units for this host"),
        ("pgstead render nftables", "who may reach the ports"),
        ("pgstead render tunnel", "a way in for administrators"),
        ("pgstead render files --out build", "what specifications know by name"),
    ),
)
for one in (compose, systemd, nftables, tunnel, files):
    command.add_command(one)
