"""What a program of a stead may do on a host: the hardening of its unit (systemd.exec(5)).

Measured by `systemd-analyze security`: docs/how-to/run-on-a-host.md states the limits, a test
keeps them. What a directive would break is left out here, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from pgstead.model.design import Design, Program
from pgstead.model.host import Interpreter
from pgstead.render import unit_syntax

Entry = tuple[str, str]

_HOMES = ("/home", "/root", "/run/user")
# What the agent needs as root: to read what is the servers' user's, to become that user for every
# native program, and to see and end what it started as that user.
_KEEPER = (
    "CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_KILL CAP_SETGID CAP_SETUID"
    " CAP_SYS_PTRACE"
)
# A service reads its passfile as root, then becomes its user and cannot return.
_SERVICE = "CAP_DAC_READ_SEARCH CAP_SETGID CAP_SETUID"

_ALWAYS: Sequence[Entry] = (
    ("NoNewPrivileges", "yes"),
    ("ProtectSystem", "strict"),
    ("PrivateTmp", "yes"),
    ("PrivateDevices", "yes"),
    ("ProtectClock", "yes"),
    ("ProtectControlGroups", "yes"),
    ("ProtectHostname", "yes"),
    ("ProtectKernelLogs", "yes"),
    ("ProtectKernelModules", "yes"),
    ("ProtectKernelTunables", "yes"),
    ("KeyringMode", "private"),
    ("LockPersonality", "yes"),
    ("RestrictNamespaces", "yes"),
    ("RestrictRealtime", "yes"),
    ("RestrictSUIDSGID", "yes"),
    ("SystemCallArchitectures", "native"),
    ("SystemCallErrorNumber", "EPERM"),
    ("UMask", "0077"),
)


def hardening(
    design: Design, program: Program, writes: Sequence[str], python: Interpreter
) -> Iterator[Entry]:
    """Yield the entries that confine a program; `writes` are the places that it writes to."""
    yield from _ALWAYS
    yield "ProtectHome", _homes(design, program, writes, python)
    yield "ReadWritePaths", " ".join(unit_syntax.word(path) for path in writes)
    yield "RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6"
    if program.kind in {"postgres", "pgbouncer"}:
        yield from _servers(design, program)
    else:
        yield from _python(program)


def _servers(design: Design, program: Program) -> Iterator[Entry]:
    yield "CapabilityBoundingSet", ""
    yield "ProtectProc", "invisible"
    yield "SystemCallFilter", "@system-service"
    yield "SystemCallFilter", "~@privileged @resources"
    # The compiler of expressions writes code and runs it.
    compiles = "llvmjit" in design.build.modules and design.settings.get("jit") != "off"
    if program.kind == "pgbouncer" or not compiles:
        yield "MemoryDenyWriteExecute", "yes"
    if program.kind == "pgbouncer":
        yield "ProcSubset", "pid"  # the server asks /proc/meminfo for the size of huge pages
    # The second lock beside pg_hba: what the kernel never hands over need not be refused.
    yield "IPAddressDeny", "any"
    allowed = [n for n in design.networks if not n.startswith(("127.", "::1"))]
    yield "IPAddressAllow", " ".join(["localhost", *allowed])


def _python(program: Program) -> Iterator[Entry]:
    service = program.kind == "service"
    yield "CapabilityBoundingSet", _SERVICE if service else _KEEPER
    # The agent looks at the servers' processes.
    yield "ProtectProc", "invisible" if service else "default"
    yield "SystemCallFilter", "@system-service"


def _homes(design: Design, program: Program, writes: Sequence[str], python: Interpreter) -> str:
    """Return what is seen of home directories: nothing, unless it is needed from there."""
    needed = [*writes, program.command[0]]
    if program.kind not in {"postgres", "pgbouncer"}:
        needed += [*python.places, str(design.layout.manifest_directory), design.build.bindir]
    inside = any(PurePosixPath(path).is_relative_to(home) for path in needed for home in _HOMES)
    return "read-only" if inside else "yes"
