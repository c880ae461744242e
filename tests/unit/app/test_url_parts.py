"""Where a database is, told in parts: POSTGRES_*, PGBOUNCER_* (APP-8)."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from pgstead.app.connection import ConnectionFileError
from pgstead.app.environment import migration_target, settings, settings_of_prefix
from pgstead.app.target import Certificate, Driver, Target
from pgstead.catalog.variables import VARIABLES
from pgstead.errors import UsageError
from tests.fix_stead import CHECKOUT

SERVER = {
    "POSTGRES_HOST": "db", "POSTGRES_PORT": "5433", "POSTGRES_DB": "shop",
    "POSTGRES_USER": "shop_app", "POSTGRES_PASSWORD": "canary",
}  # fmt: skip
POOLER = {"PGBOUNCER_HOST": "pool", "PGBOUNCER_PORT": "6433"}
URL = "postgresql+asyncpg://u:p@h:6432/d"


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work where no connection file is."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def target(environ: dict[str, str]) -> Target:
    """Return where the application of SHOP_ goes."""
    return settings("shop", "SHOP_", environ=environ).target


def test_the_bare_names_of_the_specifications_say_where_the_server_is() -> None:
    found = target(SERVER)
    assert (found.host, found.port, found.database) == ("db", 5433, "shop")
    assert found.password is not None
    assert (found.user, found.password()) == ("shop_app", "canary")
    assert (found.driver, found.sslmode) == (Driver.ASYNCPG, "verify-full")
    assert "canary" not in repr(found)


def test_the_application_goes_by_the_pooler_and_migrations_do_not() -> None:
    environ = {**SERVER, **POOLER, "PGBOUNCER_USER": "other", "PGBOUNCER_PASSWORD": "theirs"}
    found = target(environ)
    assert found.password is not None
    assert (found.host, found.port, found.user) == ("pool", 6433, "other")
    assert found.password() == "theirs"
    direct = migration_target("shop", "SHOP_", environ=environ)
    assert (direct.host, direct.user, direct.driver) == ("db", "shop_app", Driver.PSYCOPG)


def test_what_is_not_said_of_the_pooler_is_as_for_the_server() -> None:
    found = target({**SERVER, "PGBOUNCER_HOST": "pool"})
    assert found.password is not None
    assert (found.port, found.user, found.password()) == (6432, "shop_app", "canary")


def test_a_prefixed_part_and_its_alias_may_not_disagree() -> None:
    with pytest.raises(UsageError, match="SHOP_POSTGRES_PASSWORD and POSTGRES_PASSWORD") as caught:
        target({**SERVER, "SHOP_POSTGRES_PASSWORD": "canary2"})
    assert "canary" not in caught.value.message + caught.value.hint
    assert target({**SERVER, "SHOP_POSTGRES_HOST": "db"}).host == "db"


def test_a_whole_url_counts_before_its_parts() -> None:
    assert target({**SERVER, "SHOP_DATABASE_URL": URL}).host == "h"


def connection(directory: Path) -> None:
    """Put a connection file where it is found."""
    place = directory / ".pgstead/connections"
    place.mkdir(parents=True)
    (directory / "pass").write_text("*:*:*:*:secret\n")
    (directory / "pass").chmod(0o600)
    (place / "shop.json").write_text(
        f"""{{"version": 1, "stead": "s", "environment": "development", "database": "shop",
        "prefix": "SHOP_", "server": {{"major": 18}}, "ca": "ca.crt", "sslmode": "verify-full",
        "doors": {{"direct": {{"host": "beside", "port": 1}}}}, "pooler": null,
        "roles": {{"app": {{"user": "a", "passfile": "{directory}/pass"}},
                  "migrator": {{"user": "m", "passfile": "{directory}/pass"}}}},
        "pool": {{"size": 1, "max_overflow": 0, "timeout": 5, "recycle": 60}}}}"""
    )


def test_bare_parts_do_not_lead_away_from_a_stead_and_prefixed_ones_do(nowhere: Path) -> None:
    connection(nowhere)
    assert target(SERVER).host == "beside"
    assert target({f"SHOP_{name}": value for name, value in SERVER.items()}).host == "db"
    assert migration_target("shop", "SHOP_", environ=SERVER).host == "beside"


def test_the_database_of_a_prefix_may_be_named_by_a_part() -> None:
    known = settings_of_prefix("SHOP_", environ=SERVER)
    assert (known.name, known.target.database) == ("shop", "shop")
    with pytest.raises(ConnectionFileError):
        settings_of_prefix("SHOP_", environ={"POSTGRES_DB": "shop"})


@pytest.mark.parametrize(
    ("left_out", "named"), [("POSTGRES_USER", "POSTGRES_USER"), ("POSTGRES_DB", "POSTGRES_DB")]
)
def test_a_part_that_is_missing_is_named(left_out: str, named: str) -> None:
    environ = {name: value for name, value in SERVER.items() if name != left_out}
    with pytest.raises(UsageError, match=named):
        settings_of_prefix("SHOP_", environ=environ)


@pytest.mark.parametrize("port", ["x", "-1"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    with pytest.raises(UsageError, match="SHOP_POSTGRES_PORT"):
        target({**SERVER, "POSTGRES_PORT": port})


def test_a_socket_may_be_named_as_host() -> None:
    found = target({**SERVER, "POSTGRES_HOST": "/run/postgresql"})
    assert (found.host, found.encrypted) == ("/run/postgresql", False)


def test_tls_is_said_beside_a_url_too_and_only_once() -> None:
    environ = {"SHOP_DATABASE_URL": URL, "POSTGRES_SSL_MODE": "verify-ca"}
    assert target(environ).sslmode == "verify-ca"
    assert target({**SERVER, "POSTGRES_SSL_ROOT_CERT": "ca.crt"}).ca == Path("ca.crt")
    environ["SHOP_DATABASE_URL"] = f"{URL}?sslmode=verify-full"
    with pytest.raises(UsageError, match="sslmode"):
        target(environ)
    with pytest.raises(UsageError, match="sslmode=prefer"):
        target({**SERVER, "POSTGRES_SSL_MODE": "prefer"})


def test_a_clients_certificate_is_shown_by_both_drivers(nowhere: Path) -> None:
    for name in ("client.crt", "client.key"):
        (nowhere / name).touch()
    told = {"POSTGRES_SSL_CERT": "client.crt", "POSTGRES_SSL_KEY": "client.key"}
    found = target({**SERVER, **told})
    assert found.certificate == Certificate(Path("client.crt"), Path("client.key"))
    with pytest.raises(ssl.SSLError):  # it is read; it holds nothing
        found.driver_arguments("x")
    arguments = migration_target("shop", "SHOP_", environ={**SERVER, **told}).driver_arguments("x")
    assert (arguments["sslcert"], arguments["sslkey"]) == ("client.crt", "client.key")
    assert "sslcertmode" not in arguments
    with pytest.raises(UsageError, match="only one is named"):
        target({**SERVER, "POSTGRES_SSL_CERT": "client.crt"})
    with pytest.raises(UsageError, match="no file gone"):
        target({**SERVER, **told, "POSTGRES_SSL_KEY": "gone"})


def test_every_url_of_the_example_environment_can_be_read() -> None:
    lines = (CHECKOUT / ".env.example").read_text().splitlines()
    urls = [line.partition("=")[2] for line in lines if "_DATABASE_URL" in line and "://" in line]
    assert len(urls) == 2 * 3
    for url in urls:
        assert Target.from_url(url, variable="it").sslmode == "verify-full"


def test_every_part_is_listed_under_its_own_name() -> None:
    listed = {v.name: v.alias for v in VARIABLES}
    assert all(listed[name] == name for name in (*SERVER, *POOLER))
