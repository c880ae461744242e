"""Stead: the whole foundation as one value, wanted or found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeVar

from pgstead.model.address import Address, Kind, Resource

R = TypeVar("R", bound=Resource)


def _frozen(resources: Iterable[Resource]) -> Mapping[Address, Resource]:
    found: dict[Address, Resource] = {}
    for resource in resources:
        if resource.address in found:
            raise AssertionError(f"two resources at {resource.address}")
        found[resource.address] = resource
    return MappingProxyType(found)


@dataclass(frozen=True)
class Stead:
    """Resources by address, and the kinds that could not be seen, each with the reason.

    `unseen` is never taken for absent: with the server down its roles are unknown, not gone.
    Keys of `unseen` are a kind (`Kind.ROLE`), or a kind within a database (`"grant:jeex_idea"`).
    """

    resources: Mapping[Address, Resource] = field(default_factory=lambda: MappingProxyType({}))
    unseen: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def of(cls, resources: Iterable[Resource], unseen: Mapping[str, str] | None = None) -> Stead:
        """Make a stead of resources; two at one address are a bug."""
        return cls(_frozen(resources), MappingProxyType(dict(unseen or {})))

    def get(self, address: Address) -> Resource | None:
        """Return the resource at an address, or None where nothing was wanted or found."""
        return self.resources.get(address)

    def find(self, kind: type[R], key: str) -> R | None:
        """Return one resource of a type by its key."""
        resource = self.resources.get(Address(kind.kind, key))
        return resource if isinstance(resource, kind) else None

    def all(self, kind: type[R]) -> Iterator[R]:
        """Yield the resources of a type, by key."""
        for address in sorted(self.resources):
            resource = self.resources[address]
            if isinstance(resource, kind):
                yield resource

    def why_unseen(self, address: Address) -> str | None:
        """Return why the resource at an address could not be seen, or None when it could."""
        scope = address.key.split("/", 1)[0]
        return self.unseen.get(f"{address.kind}:{scope}", self.unseen.get(str(address.kind)))

    def putting(self, *resources: Resource) -> Stead:
        """Return this stead with the resources in place."""
        merged = dict(self.resources)
        merged.update({r.address: r for r in resources})
        return Stead(MappingProxyType(merged), self.unseen)

    def without(self, *addresses: Address) -> Stead:
        """Return this stead with nothing at the addresses."""
        gone = set(addresses)
        kept = {a: r for a, r in self.resources.items() if a not in gone}
        return Stead(MappingProxyType(kept), self.unseen)

    def kinds(self) -> frozenset[Kind]:
        """Return the kinds that have a resource here."""
        return frozenset(a.kind for a in self.resources)
