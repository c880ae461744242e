"""Running native programs to their end, as another user where we are root."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pgstead.errors import HostError


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
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
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
