"""The password formats of other programs: libpq's passfile, PgBouncer's userlist."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pgstead.model.standin import standin_of

# A comment to libpq and asyncpg; `pgstead.app` reads by it as whom it logs in meanwhile.
STANDIN_MARK = "#pgstead-standin"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace(":", "\\:")


def passfile_line(user: str, password: str) -> str:
    r"""Return a line for every host, port and database of a role.

    https://www.postgresql.org/docs/current/libpq-pgpass.html: `:` and `\\` are escaped.
    """
    return f"*:*:*:{_escaped(user)}:{_escaped(password)}\n"


def userlist_line(user: str, password: str) -> str:
    """Return a line of PgBouncer's auth_file: quotes are doubled (config.md)."""
    return " ".join('"' + text.replace('"', '""') + '"' for text in (user, password)) + "\n"


def secret_text(
    folder: str,
    roles: Sequence[str],
    value: Callable[[str], str],
    mode: Callable[[str], int | None],
) -> str | None:
    """Return what the file of another program must hold, None where a password is missing.

    A role whose stand-in has a password is one that is being rotated: its passfile names both.
    """
    if any(mode(role) is None for role in roles):
        return None
    lines: list[str] = []
    for role in roles:
        standin = standin_of(role)
        lent = mode(standin) is not None
        if folder == "pooler":
            lines += [userlist_line(standin, value(standin))] if lent else []
            lines.append(userlist_line(role, value(role)))
            continue
        if lent:
            lines.append(f"{STANDIN_MARK}:{_escaped(role)}:{_escaped(standin)}\n")
            lines.append(passfile_line(standin, value(standin)))
        lines.append(passfile_line(role, value(role)))
    return "".join(lines)
