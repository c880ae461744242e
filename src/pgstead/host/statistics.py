"""The planner's statistics after an upgrade, by vacuumdb over the administrative socket.

18 carries them over, except for extended ones; before, a new cluster has none at all
(https://www.postgresql.org/docs/18/pgupgrade.html, "Statistics").
"""

from __future__ import annotations

from pathlib import Path

from pgstead.errors import UpgradeError
from pgstead.host import programs
from pgstead.model.design import Design

_HOURS = 3600.0


def first(design: Design, *, socket: str = "", port: str = "") -> None:
    """Make as little as will do, where nothing was carried over: nobody is served meanwhile."""
    if design.build.major >= 18:
        return
    # the first of the stages of --analyze-in-stages, which takes seconds
    options = {"PGOPTIONS": "-c default_statistics_target=1 -c vacuum_cost_delay=0"}
    _vacuumdb(design, "--analyze-only", socket=socket, port=port, environment=options)


def everything(design: Design) -> None:
    """Make all of them anew, gently; extended ones were not carried over, nor what was counted."""
    options = {"PGOPTIONS": "-c vacuum_cost_delay=2"}
    _vacuumdb(design, "--analyze-only", environment=options)


def _vacuumdb(
    design: Design,
    *flags: str,
    socket: str = "",
    port: str = "",
    environment: dict[str, str] | None = None,
) -> None:
    build = design.build
    command = [str(Path(build.bindir, "vacuumdb")), "--all", "--no-password", *flags]
    command += ["--host", socket or str(design.layout.socket)]
    command += ["--port", port or design.settings["port"], "--username", design.superuser]
    command += ["--jobs", str(max(1, int(design.host.cpus)))]
    library = {"LD_LIBRARY_PATH": build.library_path} if build.library_path else {}
    done = programs.run(
        command,
        user=design.host.server_user,
        environment={**library, **(environment or {})},
        timeout=24 * _HOURS,
    )
    if not done.ok:
        raise UpgradeError(
            f"making the planner's statistics failed: {' '.join(done.err.split())[:500]}",
            hint="`pgstead psql DB -c ANALYZE` makes them; without them plans are bad",
        )
