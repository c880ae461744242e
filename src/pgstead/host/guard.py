"""The files of the supervisor as text: supervisord.conf, and a start script per program.

Paths and commands stand in the shell scripts only, where quoting is exact. supervisord.conf has
relative names alone: its parser takes ` #` for a comment and expands `%`.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from importlib import resources
from pathlib import PurePosixPath

from pgstead.model.design import Program
from pgstead.model.layout import Layout, file_label


def shell_file(name: str) -> str:
    """Return one of our shell scripts."""
    return (resources.files("pgstead.host") / "shell" / name).read_text(encoding="utf-8")


def folder(layout: Layout, name: str) -> PurePosixPath:
    """Return where a program's start script and record lie."""
    return layout.run / "programs" / file_label(name)


def configuration(programs: Sequence[Program], *, as_root: bool) -> str:
    """Return supervisord.conf. Its working directory is the one that it lies in."""
    lines = [
        "; made by pgstead; edits are undone by `pgstead up`",
        "[unix_http_server]",
        "file = sv.sock",
        "chmod = 0700",
        "",
        "[supervisord]",
        "pidfile = supervisord.pid",
        "logfile = ../log/supervisord.log",
        "logfile_maxbytes = 5MB",
        "logfile_backups = 2",
        "loglevel = info",
        "identifier = pgstead",
        *(["user = root"] if as_root else []),
        "",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface",
    ]
    for program in programs:
        lines += ["", *_section(program, as_root=as_root)]
    return "\n".join(lines) + "\n"


def _section(program: Program, *, as_root: bool) -> list[str]:
    # A service starts as root and becomes its user itself, once the interpreter, which that
    # user may be unable to read, has been loaded.
    changes_user = as_root and program.kind != "service"
    return [
        f"[program:{file_label(program.name)}]",
        f"command = /bin/sh programs/{file_label(program.name)}/start",
        *([f"user = {program.user}"] if changes_user else []),
        "autostart = true",
        "autorestart = true",
        "startsecs = 1",
        "startretries = 2147483647",
        f"stopsignal = {program.stop_signal}",
        f"stopwaitsecs = {program.stop_seconds + 15}",
        f"priority = {program.priority}",
        "redirect_stderr = true",
        "stdout_logfile = NONE",
    ]


def start_script(program: Program, layout: Layout, command: Sequence[str]) -> str:
    """Return the script that settles what was before and becomes the program."""
    here = folder(layout, program.name)
    values = {
        "name": program.name,
        "kind": program.kind,
        "digest": program.digest,
        "stop_signal": program.stop_signal,
        "record": str(here / "started"),
        "log": str(layout.log(program.name)),
        "directory": program.directory,
        "data": str(layout.data),
        "config": str(layout.pooler / "pgbouncer.ini"),
        "passfile": str(layout.passfile("pgstead_backup")),
    }
    lines = ["#!/bin/sh", "# made by pgstead; edits are undone by `pgstead up`"]
    lines += [f"{name}={shlex.quote(value)}" for name, value in values.items()]
    lines += [f". {shlex.quote(str(layout.run / 'guard.sh'))}", "settle"]
    # Exported after settling: what a program needs (LD_LIBRARY_PATH) may not suit our tools.
    lines += [
        f"export {name}={shlex.quote(value)}" for name, value in sorted(program.environment.items())
    ]
    lines += [f"launch {shlex.join(command)}"]
    return "\n".join(lines) + "\n"
