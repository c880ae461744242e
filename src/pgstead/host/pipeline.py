"""Programs whose output goes through one another, with nothing on the disk in between."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO

from pgstead.errors import HostError
from pgstead.host.programs import Outcome, account, plain_environment


@dataclass(frozen=True, slots=True)
class Stage:
    """A program; as root it runs as `user`."""

    command: Sequence[str]
    user: str | None = None
    environment: Mapping[str, str] | None = None


def run(
    stages: Sequence[Stage], output: int | None = None, *, source: int | None = None, timeout: float
) -> tuple[Outcome, ...]:
    """Run programs until all have ended, and return how each did.

    The first reads an open file or nothing, the last writes to one: without `output` what it says
    is returned. Who goes on reading nobody is ended by the kernel (SIGPIPE), and told by its
    status. After `timeout` seconds, or a Ctrl-C, all are killed.
    """
    with ExitStack() as stack:
        said = [stack.enter_context(tempfile.TemporaryFile()) for _ in stages]
        told = stack.enter_context(tempfile.TemporaryFile())
        running = _started(stages, source, told.fileno() if output is None else output, said)
        end = time.monotonic() + timeout
        try:
            statuses = [_waited(process, end) for process in running]
        finally:
            for process in running:
                process.kill()
                process.wait()
        out = _text(told) if output is None else ""
        return tuple(
            Outcome(status, out if process is running[-1] else "", _text(file))
            for status, process, file in zip(statuses, running, said, strict=True)
        )


def _started(
    stages: Sequence[Stage], source: int | None, output: int, said: Sequence[IO[bytes]]
) -> list[subprocess.Popen[bytes]]:
    running: list[subprocess.Popen[bytes]] = []
    try:
        for number, stage in enumerate(stages):
            last = number == len(stages) - 1
            before = running[-1].stdout if running else None
            given: int | IO[bytes] = source if source is not None else subprocess.DEVNULL
            running.append(
                _start(stage, before or given, output if last else subprocess.PIPE, said[number])
            )
            if before is not None:
                before.close()  # only who reads it has it, so that its writer learns of an end
    except BaseException:
        for process in running:
            process.kill()
            process.wait()
        raise
    return running


def _start(
    stage: Stage, source: int | IO[bytes], output: int, said: IO[bytes]
) -> subprocess.Popen[bytes]:
    who = None if stage.user is None else account(stage.user)
    other = who is not None and not who.is_me
    try:
        return subprocess.Popen(
            list(stage.command),
            stdin=source,
            stdout=output,
            stderr=said,
            cwd="/",
            env=plain_environment(stage.environment),
            umask=0o077,
            user=who.uid if who and other else None,
            group=who.gid if who and other else None,
            extra_groups=[] if other else None,
        )
    except OSError as error:
        raise HostError(f"{stage.command[0]} cannot be run: {error.strerror}") from error


def _waited(process: subprocess.Popen[bytes], end: float) -> int:
    try:
        return process.wait(max(0.0, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        return 124


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")
