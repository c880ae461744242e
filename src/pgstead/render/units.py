"""A design as units of systemd: a service for each program, a target for all, timers.

systemd does here what supervisord and its guard do for an embedded stead (docs/adr/0031): it
starts, orders, restarts, and ends what a killed program leaves behind by its control group.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from pgstead.model.design import Design, Program
from pgstead.model.file_tree import MARK, TreeFile, Units
from pgstead.model.host import Interpreter
from pgstead.render import unit_syntax
from pgstead.render.sandbox import Entry, hardening

DIRECTORY = PurePosixPath("etc/systemd/system")
_SPARE_FILES = 256  # libraries, logs, listening sockets, the console


@dataclass(frozen=True, slots=True)
class _Timer:
    name: str
    description: str
    arguments: tuple[str, ...]
    calendar: str


_TIMERS = (
    _Timer("drift", "does what runs differ from the manifest?", ("plan",), "*-*-* 05:30:00"),
    _Timer("prove", "are the promises kept?", ("prove",), "Sun *-*-* 06:00:00"),
)


def render(design: Design, python: Interpreter) -> Units:
    """Return all units of a design."""
    services = {p.name: unit_of(design, p) for p in design.programs}
    bodies = {services[p.name]: _service(design, p, services, python) for p in design.programs}
    bodies |= dict(_timers(design, python))
    timers = tuple(name for name in bodies if name.endswith(".timer"))
    target = _file(design, target_of(design), _target(design, [*services.values(), *timers]))
    files = [_file(design, unit, body) for unit, body in bodies.items()]
    return Units(target, services, timers, (*files, target))


def unit_of(design: Design, program: Program) -> str:
    """Return the name of a program's unit."""
    return f"{unit_syntax.name('pgstead', design.name, program.name)}.service"


def target_of(design: Design) -> str:
    """Return the name of the target that holds the stead together."""
    return f"{unit_syntax.name('pgstead', design.name)}.target"


def _file(design: Design, unit: str, body: str) -> TreeFile:
    head = f"# {MARK} systemd`; edits are undone by `pgstead up`, drop-ins stay\n"
    return TreeFile(DIRECTORY / unit, head + body, owner=_owner(design))


def _owner(design: Design) -> str:
    return f"X-Pgstead-State={unit_syntax.line(str(design.layout.state))}"


def _mark(design: Design) -> Entry:
    """Return what tells whose unit it is; systemd leaves keys with X- alone (systemd.syntax(7))."""
    key, _, value = _owner(design).partition("=")
    return key, value


def _joined(*sections: str) -> str:
    return "\n\n".join(sections) + "\n"


def _target(design: Design, units: list[str]) -> str:
    return _joined(
        unit_syntax.section(
            "Unit",
            [
                ("Description", unit_syntax.line(f"the stead {design.name}")),
                _mark(design),
                ("Wants", " ".join(units)),
            ],
        ),
        unit_syntax.section("Install", [("WantedBy", "multi-user.target")]),
    )


def _service(
    design: Design, program: Program, services: Mapping[str, str], python: Interpreter
) -> str:
    return _joined(
        unit_syntax.section("Unit", _relations(design, program, services)),
        unit_syntax.section(
            "Service", [*_running(design, program), *_confined(design, program, python)]
        ),
        unit_syntax.section("Install", [("WantedBy", target_of(design))]),
    )


def _relations(design: Design, program: Program, services: Mapping[str, str]) -> Iterator[Entry]:
    earlier = [services[p.name] for p in design.programs if p.priority < program.priority]
    yield "Description", unit_syntax.line(f"{program.name} of the stead {design.name}")
    yield _mark(design)
    yield "PartOf", target_of(design)
    # Names and addresses that are listened on must be there; loopback always is.
    online = "network-online.target" if _beyond_loopback(design) else "network.target"
    if online == "network-online.target":
        yield "Wants", online
    yield "After", " ".join([online, *earlier])
    # However often it fails: what is down because of another must be back with it.
    yield "StartLimitIntervalSec", "0"


def _beyond_loopback(design: Design) -> bool:
    return any(h not in {"127.0.0.1", "::1"} for door in design.doors for h in door.hosts)


def _running(design: Design, program: Program) -> Iterator[Entry]:
    yield "Type", "notify" if _notifies(design, program) else "exec"
    if program.kind != "service":
        yield "User", program.user
    runtime = unit_syntax.name("pgstead", design.name, program.name)
    yield "RuntimeDirectory", runtime
    yield "RuntimeDirectoryMode", "0755"
    # What runs says by this which program it is: `pgstead plan` tells a restart that is due.
    written = f"umask 022; echo {program.digest} >/run/{runtime}/digest"
    yield "ExecStartPre", unit_syntax.command(["/bin/sh", "-c", written])
    yield "ExecStart", unit_syntax.command(_command(program))
    if program.kind in {"postgres", "pgbouncer"}:
        yield "ExecReload", "/bin/kill -HUP $MAINPID"
    yield "WorkingDirectory", unit_syntax.line(program.directory)
    for name, value in sorted(_environment(program).items()):
        yield "Environment", unit_syntax.word(f"{name}={value}")
    log = design.layout.log(program.name)
    yield "StandardOutput", f"append:{unit_syntax.line(str(log))}"
    yield "StandardError", "inherit"
    yield from _ending(program)
    if program.kind == "pgbouncer":
        yield "LimitNOFILE", str(_files_of_pooler(design))


def _notifies(design: Design, program: Program) -> bool:
    """Say whether a program tells systemd when it is ready (sd_notify(3))."""
    if program.kind == "postgres":
        return design.build.notifies
    return program.kind == "pgbouncer" and design.pooler is not None and design.pooler.notifies


def _command(program: Program) -> tuple[str, ...]:
    """Return the command; a service begins as root, reads its secrets, and becomes its user."""
    if program.kind == "service":
        return (*program.command, "--user", program.user)
    return program.command


def _environment(program: Program) -> Mapping[str, str]:
    if program.kind != "postgres":
        return program.environment
    # The postmaster is the last that the kernel should end, its children are not (18.4.4 of the
    # manual, Linux Memory Overcommit).
    spared = {"PG_OOM_ADJUST_FILE": "/proc/self/oom_score_adj", "PG_OOM_ADJUST_VALUE": "0"}
    return {**program.environment, **spared}


def _ending(program: Program) -> Iterator[Entry]:
    yield "KillMode", "mixed"
    yield "KillSignal", f"SIG{program.stop_signal}"
    yield "TimeoutStartSec", "infinity" if program.kind == "postgres" else "90"
    yield "TimeoutStopSec", str(program.stop_seconds + 15)
    yield "Restart", "always"
    yield "RestartSec", "500ms"
    if program.kind == "postgres":
        yield "OOMScoreAdjust", "-900"


def _files_of_pooler(design: Design) -> int:
    """Return how many files PgBouncer may open: a client is one, a server connection is one."""
    clients = int(design.pooler_settings.get("max_client_conn", "100"))
    return 2 * clients + design.budget.server_limit + _SPARE_FILES


def _confined(design: Design, program: Program, python: Interpreter) -> Iterator[Entry]:
    yield from hardening(design, program, _writes(design, program), python)


def _writes(design: Design, program: Program) -> tuple[str, ...]:
    layout = design.layout
    match program.kind:
        case "postgres":
            return (str(layout.server),)
        case "pgbouncer":
            return (str(layout.pooler),)
        case "service":
            return (str(layout.state),)
        case _:
            return (str(layout.state), *_outside(design))


def _outside(design: Design) -> tuple[str, ...]:
    """Return where backups lie beyond the state; what is not there yet is no error."""
    plan, state = design.backup, design.layout.state
    if plan is None:
        return ()
    places = (PurePosixPath(plan.repository), PurePosixPath(plan.exports))
    return tuple(f"-{place}" for place in places if not place.is_relative_to(state))


def _timers(design: Design, python: Interpreter) -> Iterator[tuple[str, str]]:
    for timer in _TIMERS:
        stem = unit_syntax.name("pgstead", design.name, timer.name)
        yield f"{stem}.service", _once(design, timer, python)
        yield (
            f"{stem}.timer",
            _joined(
                unit_syntax.section(
                    "Unit",
                    [
                        ("Description", unit_syntax.line(f"{design.name}: {timer.description}")),
                        _mark(design),
                        ("PartOf", target_of(design)),
                    ],
                ),
                unit_syntax.section(
                    "Timer",
                    [
                        ("OnCalendar", f"{timer.calendar} UTC"),
                        ("RandomizedDelaySec", "15min"),
                        ("Persistent", "true"),
                    ],
                ),
                unit_syntax.section("Install", [("WantedBy", target_of(design))]),
            ),
        )


def _once(design: Design, timer: _Timer, python: Interpreter) -> str:
    """Return a service that asks one question; a bad answer makes it a failed unit."""
    asked = Program(
        name=timer.name,
        kind="question",
        command=(python.path, "-m", "pgstead", "-q", "-C", str(design.layout.manifest_directory)),
        user=design.host.os_user,
        environment={"TZ": "UTC"},
        directory=str(design.layout.manifest_directory),
        priority=90,
        stop_signal="TERM",
    )
    running = [
        ("Type", "oneshot"),
        ("User", asked.user),
        ("ExecStart", unit_syntax.command((*asked.command, *timer.arguments))),
        ("WorkingDirectory", unit_syntax.line(asked.directory)),
        ("Environment", "TZ=UTC"),
        ("TimeoutStartSec", "30min"),
    ]
    relations = [
        ("Description", unit_syntax.line(f"{design.name}: {timer.description}")),
        _mark(design),
        ("After", target_of(design)),
    ]
    return _joined(
        unit_syntax.section("Unit", relations),
        unit_syntax.section("Service", [*running, *_confined(design, asked, python)]),
    )
