"""What can be a scope, and the SQL that it becomes."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgstead.app.scope import NOBODY, Scope, ScopeInvalidError, literal


def test_the_settings_are_always_there_and_empty_without_an_identity() -> None:
    assert NOBODY.settings == {
        "app.current_tenant_id": "",
        "app.current_user_id": "",
        "app.correlation_id": "",
    }


def test_the_prelude_sets_everything_for_the_transaction_only() -> None:
    key = uuid.UUID(int=7)
    scope = Scope(tenant="acme", user=key, statement_timeout=1.5, lock_timeout=0.25)
    assert scope.prelude() == (
        "SELECT set_config('app.current_tenant_id',E'acme',true),"
        f"set_config('app.current_user_id',E'{key}',true),"
        "set_config('app.correlation_id',E'',true),"
        "set_config('statement_timeout',E'1500',true),"
        "set_config('lock_timeout',E'250',true)"
    )


def test_isolation_and_read_only_come_before_any_query() -> None:
    prelude = Scope(isolation="serializable", read_only=True).prelude()
    assert prelude.startswith("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY;SELECT ")


@given(st.text())
def test_a_literal_is_ascii_and_has_no_quote_that_ends_it(text: str) -> None:
    made = literal(text)
    assert made.isascii()
    assert made[:2] == "E'"
    assert made[-1] == "'"
    inside = made[2:-1].replace("\\\\", "").replace("''", "")
    assert "'" not in inside
    assert "\n" not in inside


@pytest.mark.parametrize("identity", ["", " acme", "acme ", "a\nb", "a\0b", "x" * 256, "\ud800"])
@pytest.mark.parametrize("name", ["tenant", "user", "correlation_id"])
def test_what_names_nobody_is_refused_without_showing_it(name: str, identity: str) -> None:
    with pytest.raises(ScopeInvalidError) as caught:
        Scope(**{name: identity})  # pyright: ignore[reportArgumentType]
    assert caught.value.hint
    assert not identity.strip() or identity not in str(caught.value)


@pytest.mark.parametrize("seconds", [0, -1, 0.0001, 3e6, float("nan"), float("inf")])
def test_a_time_out_that_would_mean_no_limit_is_refused(seconds: float) -> None:
    with pytest.raises(ScopeInvalidError, match="statement_timeout"):
        Scope(statement_timeout=seconds)


def test_one_tenant_and_all_of_them_are_not_asked_for_at_once() -> None:
    with pytest.raises(ScopeInvalidError, match="across tenants"):
        Scope(tenant="acme", across_tenants=True)


def test_a_correlation_id_of_its_own_is_kept() -> None:
    assert Scope().correlated("c1").correlation_id == "c1"
    assert Scope(correlation_id="mine").correlated("c1").correlation_id == "mine"
