"""On a host with systemd: what programs may do, and that they are there after a boot (DEP-3)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from pgstead.model.address import Capability
from pgstead.prove import processes
from pgstead.prove.finding import CannotTryError, Finding, answer, timed
from pgstead.prove.promise import promise
from pgstead.prove.witness import Witness

SERVER = Capability.SERVER
_UNIT = re.compile(r"/(pgstead-[^/\n]+\.service)")
_NO_CAPABILITY = "0" * 16
_FILTERED = "2"  # SECCOMP_MODE_FILTER (proc(5))
_WANTED_AT_BOOT = Path("/etc/systemd/system/multi-user.target.wants")


def _running(w: Witness) -> Mapping[str, int]:
    """Return the programs that a unit runs, with their processes; CannotTryError where none does.

    Who supervises is asked of the kernel: a process names the control group that it lives in.
    """
    states = w.access.ports.supervisor.states().values()
    found = {s.name: s.pid for s in states if s.running and s.pid is not None}
    if not any(_unit(pid) for pid in found.values()):
        raise CannotTryError("systemd does not run this stead", could_try=False)
    return found


def _unit(pid: int) -> str:
    """Return the unit of ours that a process belongs to, empty for none."""
    with suppress(OSError):
        named = _UNIT.search((processes.PROC / str(pid) / "cgroup").read_text())
        return named[1] if named else ""
    return ""


def _facts(pid: int) -> Mapping[str, str]:
    """Return what proc(5) says in `status`. Raises CannotTryError for one that ended meanwhile."""
    try:
        text = (processes.PROC / str(pid) / "status").read_text()
    except OSError as error:
        raise CannotTryError(f"process {pid} cannot be looked at: {error.strerror}") from error
    return dict(re.findall(r"^(\w+):\s*(.*)$", text, re.MULTILINE))


@promise(
    "HST-001",
    "on a host with systemd no program can gain a privilege, and the kernel filters its calls",
    requirement="DEP-3",
    capability=SERVER,
    needs=("proc",),
)
def programs_are_confined(w: Witness) -> Iterator[Finding]:
    for name, pid in sorted(_running(w).items()):
        with timed() as watch:
            facts = _facts(pid)
            shown = {key: facts.get(key, "") for key in ("NoNewPrivs", "Seccomp", "CapEff")}
        told = answer(
            f"/proc/{pid}/status of {name}",
            ", ".join(f"{key} {value}" for key, value in shown.items()),
            shown,
            watch,
        )
        bare = name not in {"postgres", "pgbouncer"} or shown["CapEff"] == _NO_CAPABILITY
        confined = (shown["NoNewPrivs"], shown["Seccomp"]) == ("1", _FILTERED)
        yield told.shows(
            holds=confined and bare,
            expected="NoNewPrivs 1, Seccomp 2, and no capability of server and pooler",
            hint="`systemctl cat` of its unit shows a drop-in, if there is one; `pgstead up`",
        )


@promise(
    "HST-002",
    "on a host with systemd every program belongs to a unit, and is there after a boot",
    requirement="DEP-3 REL-1",
    capability=SERVER,
    needs=("proc",),
)
def programs_are_there_after_a_boot(w: Witness) -> Iterator[Finding]:
    running = _running(w)
    with timed() as watch:
        units = {name: _unit(pid) for name, pid in running.items()}
        targets = _targets(w)
    told = answer(
        f"control groups of {len(units)} programs, and {_WANTED_AT_BOOT}",
        f"{', '.join(sorted(units.values()))}; at boot: {', '.join(targets) or 'nothing'}",
        units,
        watch,
    )
    yield told.shows(
        holds=all(units.values()) and bool(targets),
        expected="a unit for each, and the stead's target wanted at boot",
        hint="`pgstead up`, and `systemctl enable` of the target",
    )


def _targets(w: Witness) -> list[str]:
    """Return the targets of this stead that a boot wants and that are not masked."""
    mark = f"X-Pgstead-State={str(w.design.layout.state).replace('%', '%%')}"
    found: list[str] = []
    for path in sorted(_WANTED_AT_BOOT.glob("pgstead-*.target")):
        with suppress(OSError):
            if mark in path.read_text(encoding="utf-8").splitlines():
                found.append(path.name)
    return found


PROMISES = (programs_are_confined, programs_are_there_after_a_boot)
