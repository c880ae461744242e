"""Addresses as URLs: whatever stands in a name, a path or a password comes back out."""

from __future__ import annotations

import psycopg.conninfo
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import make_url

from pgstead.cli.address import Address, Driver, url

text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
addresses = st.builds(
    Address,
    host=st.sampled_from(["127.0.0.1", "::1", "localhost", "db.example.org"]),
    port=st.integers(1, 65535),
    database=text,
    user=text,
    ca=text.map("/{}".format),
    passfile=text.map("/{}".format),
)


@given(addresses, st.none() | text)
def test_libpq_reads_back_what_was_written(address: Address, password: str | None) -> None:
    found = psycopg.conninfo.conninfo_to_dict(url(address, password=password))
    assert found.pop("password", None) == password
    assert found.pop("passfile", None) == (address.passfile if password is None else None)
    assert found == {
        "host": address.host,
        "port": str(address.port),
        "dbname": address.database,
        "user": address.user,
        "sslmode": "verify-full",
        "sslrootcert": address.ca,
    }


@given(addresses, st.none() | text, st.sampled_from([Driver.ASYNCPG, Driver.PSYCOPG]))
def test_sqlalchemy_reads_back_what_was_written(
    address: Address, password: str | None, driver: Driver
) -> None:
    found = make_url(url(address, driver, password))
    assert found.drivername == f"postgresql+{driver}"
    place = (found.host, found.port, found.database, found.username, found.password)
    assert place == (address.host, address.port, address.database, address.user, password)
    query = dict(found.query)
    if driver is Driver.ASYNCPG:
        query |= psycopg.conninfo.conninfo_to_dict(str(query.pop("dsn")))
    secret = {"passfile": address.passfile} if password is None else {}
    assert query == {"sslmode": "verify-full", "sslrootcert": address.ca, **secret}
