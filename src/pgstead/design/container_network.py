"""The networks of a stead in containers, and the addresses that are told instead of asked. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import replace

from pgstead.manifest.document import Manifest
from pgstead.model.containers import Container

SERVER, POOLER = "postgres.internal", "pgbouncer.internal"


def subnets(manifest: Manifest) -> tuple[str, str]:
    """Return the internal network, and the one that ports are published from."""
    whole = ipaddress.ip_network(manifest.containers.network)
    internal, edge = whole.subnets(prefixlen_diff=1)
    return str(internal), str(edge)


def addresses(manifest: Manifest) -> Mapping[str, str]:
    """Return the addresses of server and pooler by their names: the same, whatever container it is.

    The engine's DNS is not relied on for them. A resolver inside PgBouncer keeps what a name led
    to for as long as that says (ten minutes and more), whatever `dns_max_ttl` is; and it may not
    answer: that of podman 4.3 does not know a container that began just when another did.
    """
    internal, _ = subnets(manifest)
    names = (SERVER, POOLER) if manifest.pooler.enabled else (SERVER,)
    network = ipaddress.ip_network(internal)
    return {name: str(network[2 + place]) for place, name in enumerate(names)}  # 1: the engine


def acquainted(container: Container, manifest: Manifest) -> Container:
    """Return a container of ours with the addresses of the others in its hosts file."""
    if not container.built:
        return container
    known = addresses(manifest)
    others = {name: address for name, address in known.items() if name != container.alias}
    return replace(container, address=known.get(container.alias, ""), hosts=others)
