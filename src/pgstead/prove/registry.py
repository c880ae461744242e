"""All promises, in the order in which they are tried."""

from __future__ import annotations

from collections import Counter

from pgstead.errors import UsageError
from pgstead.prove import (
    alerts,
    at_rest,
    audit,
    backup,
    binaries,
    capacity,
    care,
    change_history,
    databases,
    encryption,
    grants,
    hosts,
    injection,
    logical_dumps,
    malformed,
    migrations,
    mirrored,
    person_keys,
    personal,
    pooler,
    repository,
    roles,
    rotation,
    row_writing,
    schema,
    sealed_backups,
    server,
    side_channels,
    side_doors,
    telemetry,
    tenancy,
    tls,
    upgrades,
    upkeep,
)
from pgstead.prove.promise import Promise

MODULES = (
    server,
    binaries,
    hosts,
    tls,
    roles,
    malformed,
    databases,
    injection,
    grants,
    pooler,
    schema,
    row_writing,
    migrations,
    tenancy,
    side_doors,
    side_channels,
    encryption,
    at_rest,
    person_keys,
    personal,
    audit,
    change_history,
    backup,
    repository,
    telemetry,
    alerts,
    sealed_backups,
    logical_dumps,
    mirrored,
    upgrades,
    rotation,
    upkeep,
    capacity,
    care,
)


def promises() -> tuple[Promise, ...]:
    """Return every promise. Two of one code are a bug."""
    found = tuple(p for module in MODULES for p in module.PROMISES)
    doubles = [code for code, count in Counter(p.code for p in found).items() if count > 1]
    if doubles:
        raise AssertionError(f"codes used twice: {', '.join(doubles)}")
    areas = list(dict.fromkeys(p.capability for p in found))
    return tuple(sorted(found, key=lambda p: (areas.index(p.capability), p.code)))


def selected(words: tuple[str, ...]) -> tuple[Promise, ...]:
    """Return the promises that words choose: a capability, a code, or a requirement's id.

    Raises UsageError for a word that chooses nothing.
    """
    everything = promises()
    if not words:
        return everything
    for word in words:
        if not any(_chosen(p, word) for p in everything):
            capabilities = ", ".join(dict.fromkeys(p.capability.value for p in everything))
            raise UsageError(
                f"no promise is selected by {word!r}",
                hint=f"name a capability ({capabilities}), a code like TLS-001, or a requirement",
            )
    return tuple(p for p in everything if any(_chosen(p, word) for word in words))


def _chosen(promise: Promise, word: str) -> bool:
    folded = word.casefold()
    names = {promise.capability.value, promise.code.casefold()}
    return folded in names | {r.casefold() for r in promise.requirements}
