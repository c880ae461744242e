"""Running native programs to their end, as another user where we are root."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pgstead.errors import HostError

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SECONDS_TO_END = 20.0  # what a program has for its own tidying after a Ctrl-C

# Where sched_autogroup_enabled is set each session gets the same share of the processors, and
# `nice` counts within one only (sched(7), "The autogroup feature").
_LAST_OF_ALL = """
{ echo 19 >/proc/self/autogroup; } 2>/dev/null
nice=$(command -v nice) && exec "$nice" -n 19 "$@"
exec "$@"
"""


@dataclass(frozen=True, slots=True)
class Account:
    """An OS user, with what a child process needs in order to become it."""

    name: str
    uid: int
    gid: int

    @property
    def is_me(self) -> bool:
        """This process runs as that user already."""
        return self.uid == os.geteuid()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a program left behind."""

    status: int
    out: str
    err: str

    @property
    def ok(self) -> bool:
        """It exited with 0."""
        return self.status == 0

    @property
    def words(self) -> str:
        """What it said, errors last, for a message."""
        return "\n".join(part for part in (self.out.strip(), self.err.strip()) if part)


def account(name: str) -> Account:
    """Return an OS user by name. Raises HostError when there is none of that name."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        if name == str(os.geteuid()):  # a container may run under an id that has no name
            return Account(name, os.geteuid(), os.getegid())
        raise HostError(
            f"there is no OS user {name!r} on this machine", hint="`getent passwd` lists them"
        ) from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def my_name() -> str:
    """Return the name of the user who runs this process; its number where it has no name."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def plain_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment that depends on nobody's shell: C messages, UTC, system PATH."""
    return {
        "PATH": _PATH,
        "LC_ALL": "C",
        "TZ": "UTC",
        **(extra or {}),
    }


def run(
    command: Sequence[str],
    *,
    user: str | None = None,
    environment: Mapping[str, str] | None = None,
    directory: str = "/",
    timeout: float = 60,
    umask: int = 0o022,
    told: str = "",
) -> Outcome:
    """Run a program and wait. As root, `user` becomes the child's; else it must be our own.

    `told` is what it reads from its standard input: where secrets go that argv would show.

    Status 127 stands for a program that could not be started, 124 for one that took too long.
    """
    who = None if user is None else account(user)
    other = who is not None and not who.is_me
    try:
        done = subprocess.run(
            list(command),
            input=told.encode(),
            capture_output=True,
            check=False,
            cwd=directory,
            env=plain_environment(environment),
            timeout=timeout,
            umask=umask,
            user=who.uid if who and other else None,
            group=who.gid if who and other else None,
            extra_groups=[] if other else None,
        )
    except OSError as error:
        return Outcome(127, "", f"{command[0]}: {error.strerror}")
    except subprocess.TimeoutExpired:
        return Outcome(124, "", f"{command[0]}: no answer within {timeout:g} s")
    return Outcome(
        done.returncode,
        done.stdout.decode("utf-8", "replace"),
        done.stderr.decode("utf-8", "replace"),
    )


def run_gently(
    command: Sequence[str], *, environment: Mapping[str, str], directory: str, timeout: float
) -> Outcome:
    """Run a program on what nobody else wants of the processors, and wait.

    It has a session of its own, so a Ctrl-C of the terminal is passed on. Its files are nobody
    else's to read. Status 124 stands for one that took too long.
    """
    shell = shutil.which("sh", path=_PATH)
    with subprocess.Popen(
        [shell, "-c", _LAST_OF_ALL, "sh", *command] if shell else list(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=directory,
        env=plain_environment(environment),
        umask=0o077,
        start_new_session=True,
    ) as running:
        try:
            out, err = running.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            _end(running)
            return Outcome(124, "", f"{command[0]}: no answer within {timeout:g} s")
        except BaseException:
            _end(running)
            raise
    return Outcome(
        running.returncode, out.decode("utf-8", "replace"), err.decode("utf-8", "replace")
    )


def _end(running: subprocess.Popen[bytes]) -> None:
    """Interrupt a program and what it started, as a terminal does; kill what stays."""
    for how, seconds in ((signal.SIGINT, _SECONDS_TO_END), (signal.SIGKILL, None)):
        try:
            os.killpg(running.pid, how)
            running.communicate(timeout=seconds)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
