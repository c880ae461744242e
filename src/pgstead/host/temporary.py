"""Where temporary servers may lie: their user has to get there, and a socket's path is short."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from pgstead.errors import HostError
from pgstead.host import facts, users

_LONGEST = 50  # bytes of a temporary directory's path; a socket's has 107


def parent() -> Path:
    """Return a directory that the servers' user can enter, with a path short enough.

    Raises HostError where there is none.
    """
    user = facts.gather().server_user
    for place in dict.fromkeys((Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp"))):  # noqa: S108 - not a file
        if len(os.fsencode(place)) <= _LONGEST and users.can_traverse(place, user):
            return place
    raise HostError(
        "there is no directory for temporary files that the servers' user can enter",
        hint="set TMPDIR to a short path that everybody can enter",
    )
