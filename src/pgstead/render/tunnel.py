"""A way in for administrators (DEP-7): SSH that forwards the doors of a stead and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from pgstead.model.design import Design, Door
from pgstead.model.file_tree import MARK, TreeFile
from pgstead.render import unit_syntax

USER = "pgstead-tunnel"
_APART = 10_000  # from a door's port to the one of its end on the administrator's machine
_HIGHEST = 65_535


def files(design: Design) -> tuple[TreeFile, ...]:
    """Return what the host and the administrator's machine need."""
    stem = unit_syntax.name("pgstead", design.name)
    return (
        TreeFile(PurePosixPath(f"etc/ssh/sshd_config.d/{stem}.conf"), server(design)),
        TreeFile(PurePosixPath(f"etc/sysusers.d/{stem}-tunnel.conf"), _user()),
        TreeFile(PurePosixPath(f"client/{stem}.ssh"), client(design)),
    )


def here(door: Door) -> int:
    """Return the port of a door's end on the administrator's machine."""
    return door.port + _APART if door.port + _APART <= _HIGHEST else door.port


def server(design: Design) -> str:
    """Return the part of sshd's configuration: a user who can forward, and do nothing else."""
    permitted = " ".join(f"{_bracketed(_inside(door))}:{door.port}" for door in design.doors)
    lines = [
        f"# {MARK} tunnel`",
        f"Match User {USER}",
        "    AuthenticationMethods publickey",
        f"    AuthorizedKeysFile /etc/ssh/authorized_keys.d/{USER}",
        "    AllowTcpForwarding local",
        f"    PermitOpen {permitted}",
        "    PermitListen none",
        "    AllowStreamLocalForwarding no",
        "    AllowAgentForwarding no",
        "    X11Forwarding no",
        "    PermitTunnel no",
        "    PermitTTY no",
        "    PermitUserRC no",
        "    ForceCommand /usr/sbin/nologin",
        "    ClientAliveInterval 30",
        "    ClientAliveCountMax 4",
        "Match all",
    ]
    return "\n".join(lines) + "\n"


def client(design: Design) -> str:
    """Return the part of the administrator's ~/.ssh/config."""
    host = next(iter(design.host.hostnames), "HOST")
    lines = [
        f"# {MARK} tunnel`: include it in ~/.ssh/config, then `ssh -N {_alias(design)}`",
        f"Host {_alias(design)}",
        f"    HostName {host}",
        f"    User {USER}",
        *_forwards(design),
        "    ExitOnForwardFailure yes",
        "    ServerAliveInterval 15",
        "    ServerAliveCountMax 3",
        "    StrictHostKeyChecking yes",
        "    ForwardAgent no",
        "    ForwardX11 no",
        "    RequestTTY no",
    ]
    return "\n".join(lines) + "\n"


def _alias(design: Design) -> str:
    return "".join(
        c if c.isascii() and (c.isalnum() or c in "-_.") else "-" for c in f"pgstead-{design.name}"
    )


def _forwards(design: Design) -> Iterator[str]:
    for door in design.doors:
        yield f"    # {door.name}"
        yield f"    LocalForward 127.0.0.1:{here(door)} {_bracketed(_inside(door))}:{door.port}"


def _inside(door: Door) -> str:
    """Return where a door is on its own machine."""
    loopback = [h for h in door.hosts if h in {"127.0.0.1", "::1"}]
    return next(iter(loopback), door.here)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _user() -> str:
    return f'# {MARK} tunnel`\nu {USER} - "Tunnel to a stead" - /usr/sbin/nologin\n'
