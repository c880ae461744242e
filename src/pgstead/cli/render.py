"""`pgstead render`: the design as files for those who run it: systemd, a firewall, a tunnel."""

from __future__ import annotations

from pgstead.cli.command import CommandGroup
from pgstead.cli.render_host import files, nftables, systemd, tunnel

command = CommandGroup(
    "render",
    help="Write the design as files for systemd, a firewall, and others.",
    examples=(
        ("pgstead render systemd --out /", "units for this host"),
        ("pgstead render nftables", "who may reach the ports"),
        ("pgstead render tunnel", "a way in for administrators"),
        ("pgstead render files --out build", "what specifications know by name"),
    ),
)
command.add_command(systemd)
command.add_command(nftables)
command.add_command(tunnel)
command.add_command(files)
