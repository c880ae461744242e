"""The connection budget adds up, or is refused with the sum (SRV-5)."""

from __future__ import annotations

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from pgstead.errors import BudgetError, ExitStatus
from pgstead.model.resources import Role
from tests.unit.design.world import composed, host, text

GB = 1024**3
ROOMY = host(2048 * GB, 64)


def test_two_api_and_four_worker_processes_do_not_fit_into_a_hundred_connections() -> None:
    manifest = text(
        server="[server.settings]\nmax_connections = 100",
        database="pool = { size = 20, max_overflow = 0 }\n"
        'processes = [{ name = "api", count = 2 }, { name = "worker", count = 4 }]',
        more="[pooler]\nenabled = false\n",
    )
    with pytest.raises(BudgetError) as caught:
        composed(manifest, ROOMY)
    error = caught.value
    assert error.exit_status is ExitStatus.USAGE
    assert "2 x (pool 20 + overflow 0)" in error.message
    assert "4 x (pool 20 + overflow 0)" in error.message
    assert "120  of 92 (max_connections - reserved)" in error.message
    assert "pooler.enabled = true" in error.hint
    assert error.key == "server.settings.max_connections"


def test_the_same_processes_fit_behind_the_pooler() -> None:
    manifest = text(
        server="[server.settings]\nmax_connections = 100",
        database="pool = { size = 20, max_overflow = 0 }\n"
        'processes = [{ name = "api", count = 2 }, { name = "worker", count = 4 }]',
    )
    design = composed(manifest, ROOMY)
    assert design.budget.client_limit == 140
    assert design.pooler_settings["max_client_conn"] == "140"


def test_too_few_clients_at_the_pooler_are_refused_with_the_sum() -> None:
    manifest = text(
        database="pool = { size = 20, max_overflow = 30 }\n"
        'processes = [{ name = "api", count = 4 }]',
        more="[pooler.settings]\nmax_client_conn = 100\n",
    )
    with pytest.raises(BudgetError) as caught:
        composed(manifest, ROOMY)
    assert "200  of 100 (pooler.max_client_conn)" in caught.value.message
    assert "raise pooler.settings.max_client_conn to 200" in caught.value.hint


def test_too_few_server_connections_are_refused_with_the_sum() -> None:
    manifest = text(server="[server.settings]\nmax_connections = 60")
    with pytest.raises(BudgetError) as caught:
        composed(manifest, ROOMY)
    assert "shop: migrator" in caught.value.message
    assert "of 52 (max_connections - reserved)" in caught.value.message


def test_a_process_may_have_a_pool_of_its_own() -> None:
    manifest = text(
        database='processes = [{ name = "api" }, '
        '{ name = "worker", count = 3, pool_size = 2, max_overflow = 1 }]'
    )
    shares = {share.who: share.count for share in composed(manifest, ROOMY).budget.clients}
    assert shares == {"shop: api": 30, "shop: worker": 9}


@given(
    databases=st.integers(1, 12),
    count=st.integers(1, 40),
    size=st.integers(1, 50),
    overflow=st.integers(0, 50),
    pooled=st.booleans(),
    major=st.sampled_from([15, 16, 17, 18]),
)
def test_a_design_that_is_made_keeps_both_sums(
    databases: int, count: int, size: int, overflow: int, pooled: bool, major: int
) -> None:
    entry = (
        f"pool = {{ size = {size}, max_overflow = {overflow} }}\n"
        f'processes = [{{ name = "p", count = {count} }}]\n'
    )
    more = "".join(f'[[databases]]\nname = "d{n}"\n{entry}' for n in range(1, databases))
    more += f"[pooler]\nenabled = {str(pooled).lower()}\n"
    try:
        design = composed(text(major=major, database=entry, more=more), ROOMY)
    except BudgetError:
        # Without the pooler, thousands of server connections are refused.
        event("refused")
        return
    budget = design.budget
    opened = sum(share.count for share in budget.servers)
    kept = int(design.settings["superuser_reserved_connections"])
    kept += int(design.settings.get("reserved_connections", 0))
    assert sum(share.count for share in budget.clients) <= budget.client_limit
    assert opened <= budget.server_limit == int(design.settings["max_connections"]) - kept
    if pooled:
        assert budget.client_limit == int(design.pooler_settings["max_client_conn"])


@given(databases=st.integers(1, 8), pooled=st.booleans())
def test_the_limits_of_the_roles_are_the_shares_of_the_budget(databases: int, pooled: bool) -> None:
    more = "".join(f'[[databases]]\nname = "d{n}"\n' for n in range(1, databases))
    more += f"[pooler]\nenabled = {str(pooled).lower()}\n"
    design = composed(text(more=more), ROOMY)
    limits = [role.connection_limit for role in design.stead.all(Role) if role.login]
    bounded = sum(limit for limit in limits if limit >= 0)
    assert bounded == sum(share.count for share in design.budget.servers)


def test_the_monitor_gets_in_when_all_else_is_full() -> None:
    design = composed(text(major=16), ROOMY)
    assert int(design.settings["reserved_connections"]) > 0
    assert "reserved_connections" not in composed(text(major=15), ROOMY).settings
