"""Targets and settings: what a URL or the environment means."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgstead.app.connection import ConnectionFileError, Figures
from pgstead.app.environment import Variables, migration_target, settings
from pgstead.app.target import Driver, Target
from pgstead.errors import UsageError

URL = "postgresql+asyncpg://u:p@h:6432/d"
names = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=20)


def from_url(text: str) -> Target:
    """Read a URL."""
    return Target.from_url(text, variable="JEEX_DATABASE_URL")


@given(user=names, password=names, database=names)
def test_a_quoted_url_means_what_was_quoted(user: str, password: str, database: str) -> None:
    parts = [quote(part, safe="") for part in (user, password, database)]
    target = from_url("postgresql+asyncpg://{}:{}@h:1/{}".format(*parts))
    assert (target.user, target.database) == (user, database)
    assert target.password is not None
    assert target.password() == password


@given(rest=names)
def test_no_repr_shows_the_password(rest: str) -> None:
    password = f"canary{rest}"
    target = from_url(f"postgresql+asyncpg://u:{quote(password, safe='')}@h:1/d")
    assert target.url.password is None
    assert "canary" not in repr(target)


@pytest.mark.parametrize(
    ("scheme", "driver"),
    [
        ("postgresql+asyncpg", Driver.ASYNCPG),
        ("postgresql+psycopg", Driver.PSYCOPG),
        ("postgresql", Driver.PSYCOPG),
        ("postgresql+psycopg2", Driver.PSYCOPG),
    ],
)
def test_a_scheme_names_its_driver(scheme: str, driver: Driver) -> None:
    assert from_url(f"{scheme}://u@h/d").driver is driver


def test_the_old_driver_s_name_is_taken_with_a_notice(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        from_url("postgresql+psycopg2://u@h/d")
    assert "psycopg 3" in caplog.text


@pytest.mark.parametrize(
    "text",
    [
        "mysql://u@h/d",
        "sqlite://",
        "postgresql+asyncpg://h/d",
        "postgresql+asyncpg://u@h",
        "postgresql+asyncpg://u@h/d?options=-cjit%3Doff",
        "postgresql+asyncpg://u@h/d?sslmode=prefer",
        "not a url secret",
    ],
)
def test_a_url_that_cannot_be_is_refused_without_its_text(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        from_url(text)
    assert "JEEX_DATABASE_URL" in caught.value.message
    assert "secret" not in caught.value.message + caught.value.hint
    assert caught.value.hint


def test_who_the_server_is_has_to_be_proved_unless_said_otherwise(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert from_url(URL).sslmode == "verify-full"
    assert not caplog.text
    assert from_url(f"{URL}?sslmode=require").sslmode == "require"
    assert "does not prove who the server is" in caplog.text
    context = from_url(URL).driver_arguments("x")["ssl"]
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_a_socket_needs_no_tls() -> None:
    target = from_url("postgresql+asyncpg://u@/d?host=/run/postgresql")
    assert not target.encrypted
    assert target.driver_arguments("x")["ssl"] is False
    assert target.url.query == {"host": "/run/postgresql"}


@pytest.mark.parametrize("driver", list(Driver))
def test_behind_a_pooler_no_statement_is_prepared(driver: Driver) -> None:
    arguments = from_url(f"postgresql+{driver}://u@h/d").driver_arguments("x")
    if driver is Driver.ASYNCPG:
        assert arguments["statement_cache_size"] == 0
        assert arguments["prepared_statement_cache_size"] == 0
        # a startup parameter that PgBouncer does not track is refused
        assert set(arguments["server_settings"]) == {"application_name"}
    else:
        assert arguments["prepare_threshold"] is None
        assert "options" not in arguments


def test_figures_come_from_the_environment_by_prefix_or_alias() -> None:
    environ = {
        "JEEX_DATABASE_URL": URL,
        "JEEX_DATABASE_POOL_SIZE": "7",
        "DB_MAX_OVERFLOW": "0",
        "DB_POOL_TIMEOUT": "2.5",
    }
    known = settings("jeex_idea", "JEEX_", environ=environ)
    assert known.figures == Figures(7, 0, 2.5, 840)
    assert known.environment == "production"


def test_a_prefixed_name_and_its_alias_may_not_disagree() -> None:
    variables = Variables("JEEX_", {"JEEX_DATABASE_URL": "secret1", "DATABASE_URL": "secret2"})
    with pytest.raises(UsageError, match="JEEX_DATABASE_URL and DATABASE_URL") as caught:
        variables.text("DATABASE_URL", "DATABASE_URL")
    assert "secret" not in caught.value.message + caught.value.hint
    same = Variables("JEEX_", {"JEEX_DATABASE_URL": "x", "DATABASE_URL": "x"})
    assert same.text("DATABASE_URL", "DATABASE_URL") == "x"


@pytest.mark.parametrize("value", ["x", "-1", "1.5", "nan", ""])
def test_a_figure_that_is_none_is_refused(value: str) -> None:
    environ = {"JEEX_DATABASE_URL": URL, "JEEX_DATABASE_POOL_SIZE": value}
    if value == "":
        assert settings("jeex_idea", "JEEX_", environ=environ).figures.size == 20
        return
    with pytest.raises(UsageError, match="JEEX_DATABASE_POOL_SIZE"):
        settings("jeex_idea", "JEEX_", environ=environ)


@pytest.mark.parametrize("value", ["1", "yes", "TRUE"])
def test_echo_is_refused_outside_of_development(value: str) -> None:
    with pytest.raises(UsageError, match="JEEX_DATABASE_ECHO"):
        settings(
            "jeex_idea",
            "JEEX_",
            environ={"JEEX_DATABASE_URL": URL, "JEEX_DATABASE_ECHO": value},
        )


def test_nothing_known_is_said_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConnectionFileError) as caught:
        settings("jeex_idea", "JEEX_", environ={}, start=tmp_path)
    assert "pgstead up" in caught.value.hint
    with pytest.raises(ConnectionFileError):
        migration_target("jeex_idea", "JEEX_", environ={}, start=tmp_path)


def test_migrations_take_the_direct_url_and_psycopg() -> None:
    environ = {
        "JEEX_DATABASE_URL": URL,
        "JEEX_DATABASE_URL_SYNC": "postgresql+asyncpg://m@direct:5220/d",
    }
    target = migration_target("jeex_idea", "JEEX_", environ=environ)
    assert (target.driver, target.host) == (Driver.PSYCOPG, "direct")
