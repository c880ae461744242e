"""The memory bound holds on every machine, for every manifest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgstead.catalog import lookup
from pgstead.errors import BudgetError
from pgstead.model.design import Design
from pgstead.model.resources import Setting
from tests.unit.design.world import GB, composed, host, text

MB = 1024**2
UNITS = {"8kB": 8192, "kB": 1024, "": 1}
FLOORS = {
    "shared_buffers": 256 * MB,
    "work_mem": 16 * MB,
    "maintenance_work_mem": 128 * MB,
    "wal_buffers": 16 * MB,
}


def value(design: Design, name: str) -> float:
    """Return what the server will be told, in bytes or as a number."""
    setting = design.stead.find(Setting, name)
    assert setting is not None
    return float(setting.value) * UNITS[lookup.spec(design.build.major, name).unit]


def bound(design: Design) -> float:
    """Add up what the server may take: the issue's own formula, from the settings alone."""
    backends = sum(share.count for share in design.budget.servers)
    gather = value(design, "max_parallel_workers_per_gather")
    parallel = min(backends * gather, value(design, "max_parallel_workers"))
    each = value(design, "work_mem") * value(design, "hash_mem_multiplier")
    workers = value(design, "autovacuum_max_workers")
    return (
        value(design, "shared_buffers")
        + value(design, "wal_buffers")
        + each * (backends + parallel)
        + value(design, "autovacuum_work_mem") * workers
        + value(design, "maintenance_work_mem") * 2
        + backends * 2 * MB
    )


@given(
    memory=st.integers(512 * MB, 2048 * GB),
    share=st.one_of(st.none(), st.integers(1, 100)),
    cpus=st.floats(0.1, 512),
    workload=st.sampled_from(["oltp", "mixed", "analytics"]),
    environment=st.sampled_from(["development", "test", "staging", "production"]),
    databases=st.integers(1, 6),
)
def test_all_parts_together_stay_within_the_machines_or_the_cgroups_memory(
    memory: int, share: int | None, cpus: float, workload: str, environment: str, databases: int
) -> None:
    limit = None if share is None else max(512 * MB, memory * share // 100)
    more = "".join(f'[[databases]]\nname = "d{n}"\n' for n in range(1, databases))
    manifest = text(
        top=f'environment = "{environment}"', server=f'workload = "{workload}"', more=more
    )
    usable = memory if limit is None else min(memory, limit)
    half = environment in ("development", "test")
    try:
        design = composed(manifest, host(memory, cpus, limit=limit))
    except BudgetError as error:
        refused = error
    else:
        assert bound(design) <= (usable // 2 if half else usable)
        return
    assert usable < 4 * GB, "a machine of that size carries the smallest values"
    assert "sum" in refused.message


@given(memory=st.integers(GB, 512 * GB), cpus=st.integers(1, 128))
def test_a_floor_that_does_not_fit_is_said(memory: int, cpus: int) -> None:
    design = composed(text(top='environment = "staging"'), host(memory, cpus))
    codes = {notice.code for notice in design.notices}
    for name, floor in FLOORS.items():
        assert (value(design, name) < floor) == (f"floor-not-reached-{name}" in codes), name


@pytest.mark.parametrize("environment", ["development", "production"])
def test_a_usual_machine_reaches_every_floor(environment: str) -> None:
    design = composed(text(top=f'environment = "{environment}"'), host(16 * GB))
    assert not [n for n in design.notices if n.code.startswith("floor")]
    for name, floor in FLOORS.items():
        assert value(design, name) >= floor


def test_the_hash_multiplier_gives_way_before_work_mem_does() -> None:
    design = composed(text(top='environment = "staging"'), host(3 * GB))
    assert value(design, "hash_mem_multiplier") == 1
    assert value(design, "work_mem") >= 16 * MB


def test_the_cgroups_limit_counts_where_it_is_smaller() -> None:
    large = composed(machine=host(64 * GB))
    caged = composed(machine=host(64 * GB, limit=4 * GB))
    assert value(caged, "shared_buffers") < value(large, "shared_buffers")
    assert "memory.max" in caged.reasons["server.shared_buffers"].inputs["limit"]


def test_a_figure_that_the_manifest_names_is_taken_whole_but_never_beyond_the_machine() -> None:
    hinted = composed(text(server='memory = "2GB"'), host(16 * GB))
    bold = composed(text(server='memory = "900GB"'), host(16 * GB))
    assert value(hinted, "shared_buffers") == 512 * MB
    assert bound(hinted) <= 2 * GB
    assert value(bold, "shared_buffers") == value(composed(machine=host(16 * GB)), "shared_buffers")


def test_too_little_memory_is_refused_with_the_sum() -> None:
    with pytest.raises(BudgetError) as caught:
        composed(machine=host(128 * MB))
    assert "work_mem" in caught.value.message
    assert "of 64 MB" in caught.value.message
    assert caught.value.key == "server.memory"


def test_a_chosen_value_stays_and_the_others_make_room() -> None:
    manifest = text(server='[server.settings]\nwork_mem = "64MB"')
    design = composed(manifest, host(24 * GB))
    assert value(design, "work_mem") == 64 * MB
    assert bound(design) <= 12 * GB


def test_choices_that_leave_no_room_are_refused_with_the_sum() -> None:
    manifest = text(server='[server.settings]\nwork_mem = "2GB"')
    with pytest.raises(BudgetError) as caught:
        composed(manifest, host(16 * GB))
    assert "2GB x 1" in caught.value.message
