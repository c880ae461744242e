"""At which revision a database is: one query by the driver alone.

SQLAlchemy and Alembic take longer to be imported than it takes to ask; who finds nothing to do
needs neither.
"""

from __future__ import annotations

from collections.abc import Mapping

import psycopg

_HEADS = "SELECT version_num FROM public.alembic_version ORDER BY 1"


def heads_at(login: Mapping[str, str | int]) -> tuple[str, ...] | None:
    """Return the revisions of the database that libpq's parameters lead to.

    None where that cannot be told so simply: whoever does the work finds out, and explains.
    """
    try:
        with psycopg.connect(
            **login,  # pyright: ignore[reportArgumentType] - libpq's own names
            application_name="pgstead migrate",
            connect_timeout=5,
            gssencmode="disable",
            sslcertmode="disable",
            options="",
        ) as connection:
            return tuple(str(row[0]) for row in connection.execute(_HEADS))
    except psycopg.Error:
        return None
