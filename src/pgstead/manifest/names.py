"""What a name, a network or an address may be. Raises ValueError that says what is allowed."""

from __future__ import annotations

import ipaddress
import re

LONGEST = 63  # bytes; NAMEDATALEN - 1
# Words of pg_hba.conf and of the server itself; a role or database of that name would be
# mistaken for them somewhere.
RESERVED = frozenset({
    "all", "replication", "sameuser", "samerole", "samehost", "samenet", "public", "none",
    "postgres", "template0", "template1", "pgbouncer", "current_user", "session_user",
    "current_role", "user",
})  # fmt: skip
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")


def problem(name: str) -> str:
    """Return what is wrong with a name, or nothing.

    Quotes, spaces and percent signs are fine: PostgreSQL, PgBouncer and file names bear them.
    """
    if not name.strip():
        return "a name cannot be empty"
    if _UNPRINTABLE.search(name):
        return "a name cannot hold control characters"
    if "/" in name or name in (".", ".."):
        return 'a name cannot hold "/": it also names files'
    if name != name.strip():
        return "a name cannot begin or end with a space"
    if name[0] in "@+":
        return f'a name cannot begin with "{name[0]}": pg_hba.conf reads more into it'
    if len(name.encode()) > LONGEST:
        return f"a name has at most {LONGEST} bytes; this one has {len(name.encode())}"
    return ""


def checked(name: str) -> str:
    """Accept a name. Raises ValueError that says what is wrong."""
    if told := problem(name):
        raise ValueError(told)
    return name


def checked_or_empty(name: str) -> str:
    """Accept a name, or nothing where one is derived."""
    return checked(name) if name else name


def reserved(name: str) -> str:
    """Return why a role or database cannot have this name, or nothing."""
    if name.lower() in RESERVED:
        return f'"{name}" is reserved'
    if name.startswith(("pg_", "pgstead_")):
        return "names that begin with pg_ or pgstead_ are reserved"
    return ""


def derived(database: str, role: str) -> str:
    """Return `<database>_<role>`, shortened to what the server keeps."""
    suffix = f"_{role}"
    room = LONGEST - len(suffix)
    return database.encode()[:room].decode(errors="ignore") + suffix


def prefix(database: str) -> str:
    """Return the prefix of a database's environment variables: `my-db` gives `MY_DB_`."""
    word = re.sub(r"[^A-Z0-9]+", "_", database.upper()).strip("_")
    return f"{word}_" if word[:1].isalpha() else f"DB_{word}_" if word else "DB_"


def network(text: str) -> str:
    """Accept a network in CIDR notation."""
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        allowed = 'allowed: a network like "10.0.0.0/8" or "fd00::/8"'
        raise ValueError(f"{error}; {allowed}") from None


def address(text: str) -> str:
    """Accept an IP address; names would be resolved at a time that nobody chose."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError('allowed: an IP address like "10.0.0.5", "0.0.0.0" or "::"') from None
