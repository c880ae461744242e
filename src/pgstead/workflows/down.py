"""down: stop everything, leave no process, port or temporary file. Data stays."""

from __future__ import annotations

from pgstead.ports import Ports


def down(ports: Ports) -> bool:
    """Stop the programs and their supervisor. Return whether anything was running."""
    running = [state for state in ports.supervisor.states().values() if state.running]
    orphans = list(ports.supervisor.orphans())
    ports.journal.record("down", programs=[state.name for state in running])
    ports.progress.step("stopping")
    ports.supervisor.shutdown()
    ports.supervisor.end_orphans()
    if ports.backup is not None:
        ports.backup.vault.sweep()
    return bool(running or orphans)
