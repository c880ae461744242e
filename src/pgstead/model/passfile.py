"""The password formats of other programs: libpq's passfile, PgBouncer's userlist."""

from __future__ import annotations


def passfile_line(user: str, password: str) -> str:
    r"""Return a line for every host, port and database of a role.

    https://www.postgresql.org/docs/current/libpq-pgpass.html: `:` and `\\` are escaped.
    """
    escaped = [text.replace("\\", "\\\\").replace(":", "\\:") for text in (user, password)]
    return f"*:*:*:{escaped[0]}:{escaped[1]}\n"


def userlist_line(user: str, password: str) -> str:
    """Return a line of PgBouncer's auth_file: quotes are doubled (config.md)."""
    return " ".join('"' + text.replace('"', '""') + '"' for text in (user, password)) + "\n"
