"""PgBouncer's options."""

from __future__ import annotations

import pytest

from pgstead.catalog import pooler
from pgstead.errors import ManifestError


@pytest.mark.parametrize(
    ("name", "written", "shown"),
    [
        ("server_idle_timeout", "600", "600"),
        ("server_idle_timeout", "10min", "600"),
        ("query_wait_timeout", "500ms", "0.5"),
        ("log_connections", "yes", "1"),
        ("default_pool_size", "020", "20"),
        ("pool_mode", "transaction", "transaction"),
        ("unix_socket_mode", "0700", "448"),
    ],
)
def test_a_value_becomes_what_show_config_tells(name: str, written: str, shown: str) -> None:
    assert pooler.canonical(name, written) == shown


@pytest.mark.parametrize(
    ("name", "value"),
    [("server_idle_timeout", "soon"), ("default_pool_size", "1.5"), ("pool_mode", "txn"),
     ("log_connections", "2")],
)  # fmt: skip
def test_an_impossible_value_is_refused(name: str, value: str) -> None:
    with pytest.raises(ManifestError, match="is no valid value"):
        pooler.canonical(name, value)


def test_an_unknown_option_is_refused_with_the_one_meant() -> None:
    with pytest.raises(ManifestError) as caught:
        pooler.option("default_pool_sise")
    assert caught.value.hint == 'did you mean "default_pool_size"?'


def test_an_option_exists_since_its_version() -> None:
    assert not pooler.exists("max_prepared_statements", (1, 20, 1))
    assert pooler.exists("max_prepared_statements", (1, 21, 0))
    assert pooler.exists("suspend_timeout", (1, 25, 2))
    assert not pooler.exists("suspend_timeout", (1, 26, 0))


def test_where_a_change_needs_a_restart_is_known() -> None:
    assert not pooler.option("listen_port").reloadable
    assert pooler.option("default_pool_size").reloadable
