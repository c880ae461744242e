"""restart: the server started anew, with its clients waiting rather than failing."""

from __future__ import annotations

from pgstead.apply import restarting
from pgstead.apply.restarting import Stall
from pgstead.errors import NotRunningError
from pgstead.ports import Ports


def restart(ports: Ports, *, patience: float, anyway: bool = False) -> Stall:
    """Restart the running server. Raises BusyError where transactions do not end, nothing done."""
    state = ports.supervisor.states().get("postgres")
    if state is None or not state.running:
        raise NotRunningError("the server does not run", hint="`pgstead up` starts it")
    ports.hold.release()  # what a killed one left
    stall = restarting.restart(ports, patience=patience, anyway=anyway)
    ports.journal.record("restarted", stall=round(stall.seconds, 3))
    return stall
