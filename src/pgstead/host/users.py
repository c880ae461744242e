"""Whose processes the servers are. As root never root's."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from pathlib import Path

from pgstead.errors import NoServerUserError
from pgstead.host import programs

_SERVER = ("postgres", "nobody", "daemon")
# A host that was prepared for it has a user of its own for them (sysusers.d of `render systemd`).
_SERVICE = ("pgstead", "nobody", "daemon", "www-data")
_HINT = "make one (`useradd --system --shell /usr/sbin/nologin postgres`), or name one: server.user"


def _unprivileged() -> Mapping[str, int]:
    """Return the users that are not root, by name, with what NSS knows beyond /etc/passwd."""
    found = {entry.pw_name: entry.pw_uid for entry in pwd.getpwall()}
    for name in {*_SERVER, *_SERVICE} - set(found):
        try:
            found[name] = pwd.getpwnam(name).pw_uid
        except KeyError:
            continue
    return {name: uid for name, uid in found.items() if uid != 0}


def choose(wanted: str | None, *, users: Mapping[str, int] | None = None) -> tuple[str, str]:
    """Return who runs the servers and who runs the HTTP services.

    An ordinary user runs both. As root they are two different users, so that a hole in the
    HTTP service does not lead to the data directory.
    """
    if os.geteuid() != 0:
        return _as_ordinary_user(wanted)
    found = _unprivileged() if users is None else users
    if wanted is not None and wanted not in found:
        problem = "root must not run a server" if wanted == "root" else "there is no such user"
        raise NoServerUserError(f"server.user is {wanted!r}, but {problem}", hint=_HINT)
    server = wanted or next((name for name in _SERVER if name in found), None)
    if server is None:
        raise NoServerUserError(
            "running as root, and there is no unprivileged user for the servers: tried "
            + ", ".join(_SERVER),
            hint=_HINT,
        )
    others = (name for name in _SERVICE if found.get(name, found[server]) != found[server])
    service = next(others, None)
    if service is None:
        raise NoServerUserError(
            f"the servers run as {server!r}, and the HTTP services need another user: tried "
            + ", ".join(_SERVICE),
            hint="make one, e.g. `useradd --system --shell /usr/sbin/nologin daemon`",
        )
    return server, service


def _as_ordinary_user(wanted: str | None) -> tuple[str, str]:
    me = programs.my_name()
    if wanted is not None and wanted != me:
        raise NoServerUserError(
            f"server.user is {wanted!r}, but only root can start processes as another user"
            f" (this is {me!r})",
            hint="leave server.user out, or run as root",
        )
    return me, me


def can_traverse(path: Path, user: str) -> bool:
    """Say whether a user can enter a directory; its nearest existing parent where it is missing.

    Asked by trying as that user: ACLs, squashed NFS roots and user namespaces count too.
    """
    directory = path
    while not directory.exists() and directory != directory.parent:
        directory = directory.parent
    return programs.run(["test", "-x", f"{directory}/."], user=user).ok
