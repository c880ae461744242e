"""The laws of plan.diff, for any two steads."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pgstead.model.address import Address, Kind, Resource
from pgstead.model.operation import Plan
from pgstead.model.resources import (
    ConfigFile,
    Database,
    Grant,
    Override,
    Password,
    Role,
    RoleSetting,
    Setting,
)
from pgstead.model.stead import Stead
from pgstead.plan.diff import diff

names = st.sampled_from(["a", "b", 'c"d', "e f", "%g"])
settings = st.builds(
    Setting, names, st.sampled_from(["1", "2"]), context=st.sampled_from(["sighup", "postmaster"])
)
roles = st.builds(
    Role,
    names,
    login=st.booleans(),
    superuser=st.booleans(),
    password=st.sampled_from(Password),
)
databases = st.builds(Database, names, names, encoding=st.sampled_from(["UTF8", "LATIN1"]))
grants = st.builds(
    Grant,
    names,
    st.just("schema"),
    names,
    names,
    st.sampled_from([("USAGE",), ("CREATE", "USAGE")]),
)
files = st.builds(ConfigFile, names, st.text(max_size=5), st.sampled_from([0o600, 0o644]))
overrides = st.builds(Override, names, names, st.just("ALTER SYSTEM"))
role_settings = st.builds(RoleSetting, names, names, names, st.sampled_from(["1", "2"]))
resources = st.one_of(settings, roles, databases, grants, files, overrides, role_settings)


def _stead(found: list[Resource]) -> Stead:
    return Stead.of({r.address: r for r in found}.values())


steads = st.lists(resources, max_size=12).map(_stead)


def applied(plan: Plan, stead: Stead) -> Stead:
    for operation in plan.operations:
        stead = operation.effect(stead)
    return stead


@given(steads, steads)
def test_applying_the_plan_reaches_wanted(wanted: Stead, found: Stead) -> None:
    assert applied(diff(wanted, found), found).resources == wanted.resources


@given(steads)
def test_a_stead_does_not_differ_from_itself(stead: Stead) -> None:
    assert diff(stead, stead).empty


@given(steads, steads)
def test_reversible_operations_lead_back(wanted: Stead, found: Stead) -> None:
    for operation in diff(wanted, found).operations:
        if operation.reversible:
            there = operation.effect(found)
            back = operation.reverse().effect(there)
            assert back.get(operation.address) == found.get(operation.address)


@given(steads, steads, st.sets(st.sampled_from(Kind)))
def test_what_was_not_seen_is_never_changed(wanted: Stead, found: Stead, blind: set[Kind]) -> None:
    seen = found.without(*(a for a in found.resources if a.kind in blind))
    unseen = Stead(seen.resources, {str(kind): "the server does not answer" for kind in blind})
    plan = diff(wanted, unseen)
    assert not [o for o in plan.operations if o.address.kind in blind]
    assert {what for what, _ in plan.unknown} == {
        str(a.kind) for a in wanted.resources if a.kind in blind
    }


@given(steads, steads)
def test_each_address_is_changed_at_most_once(wanted: Stead, found: Stead) -> None:
    addresses: list[Address] = [o.address for o in diff(wanted, found).operations]
    assert len(addresses) == len(set(addresses))


@given(steads, steads)
def test_roles_come_before_the_databases_that_they_own(wanted: Stead, found: Stead) -> None:
    kinds = [o.address.kind for o in diff(wanted, found).operations if o.after is not None]
    order = list(Kind)
    assert kinds == sorted(kinds, key=order.index)
