"""Programs that take the terminal over: this process becomes them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import NoReturn

from pgstead.errors import HostError


def become(
    command: Sequence[str], *, environment: Mapping[str, str], without: Iterable[str] = ()
) -> NoReturn:
    """Replace this process, so that Ctrl-C, job control and the exit status are the program's.

    The user's environment stays (PAGER, PSQL_HISTORY ...), except for the names in `without`.
    """
    kept = {name: value for name, value in os.environ.items() if name not in set(without)}
    try:
        os.execve(command[0], list(command), {**kept, **environment})  # noqa: S606  no shell is what we want
    except OSError as error:
        raise HostError(f"{command[0]} could not be started: {error.strerror}") from error
