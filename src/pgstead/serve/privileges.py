"""Give up root: everything that only root may read has been read, everything is imported."""

from __future__ import annotations

import os
import pwd

from pgstead.errors import NoServerUserError


def account(name: str) -> pwd.struct_passwd:
    """Return a system user by name. Raises NoServerUserError."""
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        raise NoServerUserError(
            f"there is no system user {name!r}", hint="--user takes one that exists"
        ) from None
    if found.pw_uid == 0:
        raise NoServerUserError(
            f"{name!r} is root by another name", hint="--user takes an unprivileged one"
        )
    return found


def drop(user: pwd.struct_passwd) -> None:
    """Become a user for good: groups first, the user last; and prove that there is no way back."""
    os.chdir("/")
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    try:
        os.setuid(0)
    except PermissionError:
        return
    raise AssertionError("root could be taken back")
