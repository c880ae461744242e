"""PgBouncer's settings for the version at hand (POL)."""

from __future__ import annotations

import pytest

from pgstead.catalog import pooler as catalog
from pgstead.errors import ManifestError, MissingPoolerError
from pgstead.manifest.load import parse
from pgstead.model.resources import PoolerSetting
from pgstead.render import pgbouncer_ini
from tests.unit.design import world
from tests.unit.design.world import composed, pgbouncer, text

VERSIONS = [(1, 18, 0), (1, 20, 1), (1, 21, 0), (1, 24, 1), (1, 25, 2), (1, 26, 1)]


@pytest.mark.parametrize("version", VERSIONS)
def test_no_option_is_set_that_the_version_does_not_have(version: tuple[int, int, int]) -> None:
    design = composed(pooler=pgbouncer(*version))
    for name in design.pooler_settings:
        assert catalog.exists(name, version), name


@pytest.mark.parametrize("version", VERSIONS)
def test_prepared_statements_are_kept_where_the_version_can(version: tuple[int, int, int]) -> None:
    kept = composed(pooler=pgbouncer(*version)).pooler_settings.get("max_prepared_statements")
    assert kept == ("200" if version >= (1, 21, 0) else None)


def test_the_figures_of_the_systems_are_kept() -> None:
    told = composed().pooler_settings
    assert told["pool_mode"] == "transaction"
    assert told["default_pool_size"] == "20"
    assert told["min_pool_size"] == "5"
    assert told["reserve_pool_size"] == "5"
    assert told["reserve_pool_timeout"] == "5"
    assert told["max_db_connections"] == "50"
    assert told["max_user_connections"] == "50"
    assert told["server_idle_timeout"] == "600"
    assert told["ignore_startup_parameters"] == "extra_float_digits"


def test_both_sides_speak_tls_1_3_and_the_server_is_verified() -> None:
    told = composed().pooler_settings
    assert told["client_tls_protocols"] == told["server_tls_protocols"] == "tlsv1.3"
    assert told["client_tls_sslmode"] == "require"
    assert told["server_tls_sslmode"] == "verify-full"


@pytest.mark.parametrize(("timeout", "wait"), [("5s", 4), ("30s", 24), ("1s", 1), ("800ms", 1)])
def test_a_client_hears_from_the_pooler_before_it_gives_up(timeout: str, wait: int) -> None:
    told = composed(text(database=f'pool = {{ timeout = "{timeout}" }}')).pooler_settings
    assert int(told["query_wait_timeout"]) == wait
    assert int(told["client_login_timeout"]) == wait
    assert int(told["server_connect_timeout"]) <= wait


@pytest.mark.parametrize(
    ("version", "ignored"),
    [
        ((1, 18, 0), "extra_float_digits"),
        ((1, 20, 0), "extra_float_digits,options"),
        ((1, 26, 0), "extra_float_digits,options"),
        ((1, 26, 1), "extra_float_digits"),
    ],
)
def test_a_known_hole_of_startup_options_is_closed_where_it_is(
    version: tuple[int, int, int], ignored: str
) -> None:
    told = composed(pooler=pgbouncer(*version)).pooler_settings
    assert told["ignore_startup_parameters"] == ignored


def test_what_the_console_must_show_is_in_its_own_form() -> None:
    design = composed()
    shown = {s.name: s.value for s in design.stead.all(PoolerSetting)}
    assert shown["unix_socket_mode"] == "448"
    assert set(shown) == set(design.pooler_settings)


def test_a_choice_of_the_manifest_wins_and_keeps_its_reason() -> None:
    manifest = text(
        more='[pooler.settings]\nserver_idle_timeout = { value = "5min", reason = "few" }\n'
    )
    design = composed(manifest)
    found = design.stead.find(PoolerSetting, "server_idle_timeout")
    assert found is not None
    assert found.value == "300"
    reason = design.reasons["pooler.server_idle_timeout"]
    assert reason.inputs["reason"] == "few"
    assert reason.inputs["derived value"] == "600"


@pytest.mark.parametrize(
    ("name", "version", "entries"),
    [
        ("plain", (1, 18, 0), ["shop", "plain"]),
        ("with space", (1, 18, 0), ["shop", "*"]),
        ("with space", (1, 26, 1), ["shop", "with space"]),
        ("it's", (1, 26, 1), ["shop", "*"]),
    ],
)
def test_a_database_whose_name_cannot_be_written_is_passed_on_by_the_wildcard(
    name: str, version: tuple[int, int, int], entries: list[str]
) -> None:
    design = composed(text(more=f'[[databases]]\nname = "{name}"\n'), pooler=pgbouncer(*version))
    assert [entry.name for entry in design.pooler_databases] == entries
    said = {notice.code for notice in design.notices}
    assert ("*" in entries) == ("pooler-any-database" in said)


def test_production_refuses_a_pooler_below_the_floor_unless_it_is_waived() -> None:
    production = text(top='environment = "production"')
    with pytest.raises(ManifestError) as caught:
        composed(production, pooler=pgbouncer(1, 18, 0))
    assert caught.value.key == "pooler.binary"
    waiver = '[[waive]]\nwhat = "pooler-below-floor"\nreason = "r"\nexpires = 2999-01-01\n'
    design = composed(
        text(top='environment = "production"', more=waiver), pooler=pgbouncer(1, 18, 0)
    )
    assert design.waivers[0].what == "pooler-below-floor"


def test_a_missing_pooler_is_said() -> None:
    with pytest.raises(MissingPoolerError) as caught:
        world.composing.compose(
            parse(text()), world.host(), world.build(), None, world.LAYOUT, "id", {}, "python"
        )
    assert "doctor --fix" in caught.value.hint


@pytest.mark.parametrize(("version", "by_entry"), [((1, 18, 0), True), ((1, 19, 0), False)])
def test_where_the_console_has_no_look_up_each_database_names_the_role_that_does(
    version: tuple[int, int, int], *, by_entry: bool
) -> None:
    odd = '[[databases]]\nname = "with space"\n'  # told by the wildcard
    design = composed(text(more=odd), pooler=pgbouncer(*version))
    named = {entry.auth_user for entry in design.pooler_databases}
    assert named == ({design.lookup_role} if by_entry else {""})
    written = pgbouncer_ini.text(design)
    assert (f"\nauth_user = {design.lookup_role}\n" in written) is not by_entry
    assert "\nauth_user = \n" not in written  # a role without a name, to 1.18


def test_a_pooler_that_looked_up_for_its_console_is_started_anew_to_forget_it() -> None:
    found = composed(pooler=pgbouncer(1, 18, 0)).stead.find(PoolerSetting, "auth_user")
    assert found is not None
    assert not found.reloadable
