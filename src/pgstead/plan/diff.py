"""diff(wanted, found): the operations that turn what was found into what is wanted.

A pure function with laws, kept by tests/laws: applying the plan reaches `wanted`;
`diff(s, s)` is empty; reversible operations lead back.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgstead.model.address import Address, Kind
from pgstead.model.operation import Operation, Plan
from pgstead.model.stead import Stead
from pgstead.plan import impact

_RANK = {kind: rank for rank, kind in enumerate(Kind)}


def _creation_order(address: Address) -> tuple[int, bool, str]:
    # A secret before the files that repeat it in another program's format ("passfiles/role").
    return _RANK[address.kind], "/" in address.key, address.key


def diff(wanted: Stead, found: Stead) -> Plan:
    """Return the plan. What could not be seen is neither created nor dropped, but listed."""
    operations = [*_drops(wanted, found), *_puts(wanted, found)]
    unknown = {
        (str(address), reason)
        for address in wanted.resources
        if (reason := found.why_unseen(address)) is not None
    }
    kinds = {(address.split(":")[0], reason) for address, reason in unknown}
    return Plan(tuple(operations), tuple(sorted(kinds)))


def _puts(wanted: Stead, found: Stead) -> Iterator[Operation]:
    for address in sorted(wanted.resources, key=_creation_order):
        if found.why_unseen(address) is not None:
            continue
        before, after = found.get(address), wanted.resources[address]
        if before != after:
            cost, reversible, note = impact.of(before, after)
            yield Operation(before, after, cost, reversible, note)


def _drops(wanted: Stead, found: Stead) -> Iterator[Operation]:
    """Yield drops, dependants first, before anything new is made on top of them."""
    for address in sorted(found.resources, key=_creation_order, reverse=True):
        if address in wanted.resources or found.why_unseen(address) is not None:
            continue
        before = found.resources[address]
        cost, reversible, note = impact.of(before, None)
        yield Operation(before, None, cost, reversible, note)
