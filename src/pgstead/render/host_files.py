"""What a host needs beside the units: users, directories, and logs that do not grow for ever."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath

from pgstead.model.design import Design
from pgstead.model.file_tree import MARK, TreeFile, Units
from pgstead.model.host import Interpreter
from pgstead.render import nftables, tunnel, unit_syntax
from pgstead.render.units import render as render_units
from pgstead.render.units import unit_of

_HEAD = f"# {MARK} systemd`"


def units(design: Design, python: Interpreter) -> Units:
    """Return a stead as systemd runs it, with all files that the host needs for it."""
    stem = unit_syntax.name("pgstead", design.name)
    made = render_units(design, python)
    beside = (
        TreeFile(PurePosixPath(f"etc/sysusers.d/{stem}.conf"), _sysusers(design)),
        TreeFile(PurePosixPath(f"etc/tmpfiles.d/{stem}.conf"), _tmpfiles(design)),
        TreeFile(PurePosixPath(f"etc/logrotate.d/{stem}"), _logrotate(design)),
    )
    others = [f for f in (*nftables.files(design), *tunnel.files(design)) if _on_host(f)]
    return replace(made, files=(*made.files, *beside), others=tuple(others))


def _on_host(file: TreeFile) -> bool:
    return file.path.parts[0] == "etc"


def _sysusers(design: Design) -> str:
    """Return the users (sysusers.d(5)); one that is there already is left as it is."""
    users = {
        design.host.server_user: ("PostgreSQL administrator", "/var/lib/postgresql"),
        design.host.service_user: ("HTTP services of pgstead", "-"),
    }
    lines = [
        f'u {name} - "{told}" {home} -' for name, (told, home) in users.items() if name != "root"
    ]
    return "\n".join([_HEAD, *lines]) + "\n"


def _tmpfiles(design: Design) -> str:
    """Return the directories that must be there before the units start (tmpfiles.d(5))."""
    layout, server = design.layout, design.host.server_user
    root = design.host.os_user
    rows = [
        (layout.state, "0755", root),
        (layout.logs, "0755", root),
        (layout.run, "0755", root),
        (layout.server, "0700", server),
        (layout.socket, "0700", server),
        (layout.server_log, "0700", server),
        (layout.pooler, "0700", server),
    ]
    lines = [f"d {unit_syntax.word(str(path))} {mode} {user} -" for path, mode, user in rows]
    # Sockets of servers that ended with the machine; only at boot (`!`).
    stale = [layout.socket, layout.pooler]
    lines += [f"r! {unit_syntax.word(f'{path}/.s.PGSQL.*')}" for path in stale]
    return "\n".join([_HEAD, *lines]) + "\n"


def _logrotate(design: Design) -> str:
    """Return the rules of logrotate(8). The server's own log keeps a week by itself (SRV-9)."""
    return "\n".join([_HEAD, *_pooler_log(design), *_program_logs(design)]) + "\n"


def _quoted(path: PurePosixPath, pattern: str) -> str:
    # logrotate globs what stands in quotes, too: what is no pattern of ours is escaped.
    bare = "".join(f"\\{c}" if c in '*?[]\\"' else c for c in str(path))
    return f'"{bare}/{pattern}"'


def _pooler_log(design: Design) -> Iterator[str]:
    pooler = next((p for p in design.programs if p.kind == "pgbouncer"), None)
    if pooler is None:
        return
    user = pooler.user
    yield f"{_quoted(design.layout.pooler, 'pgbouncer.log')} {{"
    yield "  weekly"
    yield "  rotate 8"
    yield "  compress"
    yield "  delaycompress"
    yield "  missingok"
    yield "  notifempty"
    yield f"  su {user} {user}"
    yield f"  create 0600 {user} {user}"
    yield "  postrotate"
    # PgBouncer opens its log anew when it reloads (pgbouncer(1), SIGHUP).
    yield f"    systemctl reload '{unit_of(design, pooler)}' >/dev/null 2>&1 || true"
    yield "  endscript"
    yield "}"


def _program_logs(design: Design) -> Iterator[str]:
    yield f"{_quoted(design.layout.logs, '*.log')} {{"
    yield "  weekly"
    yield "  maxsize 50M"
    yield "  rotate 8"
    yield "  compress"
    yield "  delaycompress"
    yield "  missingok"
    yield "  notifempty"
    yield "  copytruncate"  # systemd holds them open to append
    yield f"  su {design.host.os_user} {design.host.os_user}"
    yield "}"
