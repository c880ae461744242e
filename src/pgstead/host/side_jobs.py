"""Jobs of the agent that run as processes of their own, and end with it."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading

from pgstead.host import programs
from pgstead.model.layout import Layout

_log = logging.getLogger("pgstead.agent")
_PATIENCE = 20.0  # seconds until a job that was interrupted has ended


class SideJobs:
    """Starts `pgstead.cli.care_job`; one at a time."""

    def __init__(self, layout: Layout) -> None:
        """Start nothing yet."""
        self._layout = layout
        self._turn = threading.Lock()
        self._running: subprocess.Popen[bytes] | None = None
        self._over = False

    def run(self, job: str) -> int:
        """Do a job to its end; return its exit status. Its words go where the agent's go."""
        command = [sys.executable, "-m", "pgstead.cli.care_job"]
        command += [str(self._layout.applied), str(self._layout.manifest_directory), job]
        with self._turn:
            if self._over:
                return 0
            self._running = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                cwd=self._layout.manifest_directory,
                env=programs.plain_environment(),
            )
            status = self._running.wait()
            self._running = None
        if status:
            _log.error("%s ended with %d", job, status)
        return status

    def end(self) -> None:
        """Interrupt what runs, and start nothing more: it is written down as interrupted."""
        self._over = True
        running = self._running
        if running is None:
            return
        running.send_signal(signal.SIGINT)
        try:
            running.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            running.kill()
