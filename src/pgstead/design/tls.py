"""Doors, certificates and the TLS settings of the server."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from pgstead.design.names import MONITOR
from pgstead.design.reasons import Value
from pgstead.manifest.document import Manifest
from pgstead.model.design import Door
from pgstead.model.host import HostFacts, ServerBuild
from pgstead.model.layout import Layout
from pgstead.model.resources import Certificate

_FLOOR = "TLSv1.3"
LOOPBACK = ("127.0.0.1/32", "::1/128")


def listened(manifest: Manifest, host: HostFacts) -> tuple[str, ...]:
    """Return the addresses to listen on: loopback first, since pgstead's own programs use it."""
    if host.network is not None:
        return ("0.0.0.0",)  # noqa: S104 - of its container; what is published is Compose's matter
    loopback = ("127.0.0.1", "::1") if host.ipv6 else ("127.0.0.1",)
    stated = [a for a in manifest.networks.listen if host.ipv6 or ":" not in a]
    covered = {a.version for text in stated if (a := ipaddress.ip_address(text)).is_unspecified}
    # A wildcard and loopback together would bind the same port twice.
    kept = [a for a in loopback if ipaddress.ip_address(a).version not in covered]
    return tuple(dict.fromkeys([*kept, *stated]))


def doors(
    manifest: Manifest, host: HostFacts, build: ServerBuild, *, pooled: bool
) -> tuple[Door, ...]:
    """Return where clients connect. A build without TLS opens no TCP port (TLS-1)."""
    advertised = tuple(dict.fromkeys(["127.0.0.1", *listened(manifest, host)]))
    found: list[Door] = []
    if build.tls:
        hosts = _elsewhere(host, "direct") or advertised
        found.append(Door("direct", hosts, manifest.server.port, tls=True))
    if pooled:
        hosts = _elsewhere(host, "pooler") or advertised
        found.append(Door("pooler", hosts, manifest.pooler.port, tls=True))
    for entry in manifest.databases:
        if entry.service:
            name = f"api-{entry.name}"
            hosts = _elsewhere(host, name) or (entry.service.host,)
            found.append(Door(name, hosts, entry.service.port, tls=False))
    return tuple(found)


def _elsewhere(host: HostFacts, door: str) -> tuple[str, ...]:
    """Return the container behind a door, none where all is on one machine."""
    return () if host.network is None else (host.network.hosts[door],)


def near(host: HostFacts) -> tuple[str, ...]:
    """Return the networks that only the stead's own programs come from."""
    return LOOPBACK if host.network is None else (*LOOPBACK, *host.network.near)


def stated(manifest: Manifest, host: HostFacts) -> tuple[str, ...]:
    """Return the networks of clients, beside those that are near."""
    # Who comes to a port that is published on loopback comes from the network's own gateway.
    mine = () if host.network is None else (host.network.gateway,)
    allowed = dict.fromkeys((*mine, *manifest.networks.allow))
    return tuple(n for n in allowed if n not in near(host))


def names(manifest: Manifest, host: HostFacts) -> tuple[str, ...]:
    """Return every name and address that a client may verify (TLS-2)."""
    listen = [a for a in manifest.networks.listen if not ipaddress.ip_address(a).is_unspecified]
    here = host.hostnames if host.network is None else host.network.hosts.values()
    known = {"localhost", "127.0.0.1", "::1", *here, *manifest.tls.hostnames, *listen}
    return tuple(sorted(known))


def certificates(manifest: Manifest, host: HostFacts, *, pooled: bool) -> Iterator[Certificate]:
    """Yield the certificates: pgstead's own, or the user's (TLS-3)."""
    provided = bool(manifest.tls.certificate)
    served = names(manifest, host)
    yield Certificate("ca", (), provided=provided)
    yield Certificate("server", served, provided=provided)
    if pooled:
        yield Certificate("pooler", served, provided=provided)
    if host.network is not None and "store" in host.network.hosts:
        yield Certificate("store", served, provided=provided)
    clients = dict.fromkeys(manifest.tls.clients)
    if manifest.tls.client_certificates == "required" and not provided:
        roles = ((e.app, e.readonly, e.admin, e.migrator) for e in manifest.databases)
        clients |= dict.fromkeys([MONITOR, *(role for four in roles for role in four)])
    for client in clients:
        yield Certificate(f"client/{client}", (client,))


def brought(manifest: Manifest) -> dict[str, str]:
    """Return the user's certificates: the name of the copy, and where it comes from."""
    given = {
        "tls/ca.crt": manifest.tls.ca,
        "tls/server.crt": manifest.tls.certificate,
        "tls/server.key": manifest.tls.key,
    }
    return {name: path for name, path in given.items() if path}


def settings(
    manifest: Manifest, host: HostFacts, build: ServerBuild, layout: Layout
) -> Iterator[Value]:
    """Yield where the server listens, and with which certificate."""
    if not build.tls:
        why = "this build has no TLS: no TCP port, the Unix socket behind the TLS pooler"
        yield Value("listen_addresses", "", why, "TLS-1")
        return
    addresses = ",".join(listened(manifest, host))
    yield Value("listen_addresses", addresses, "loopback and networks.listen", "networks.listen")
    yield Value("ssl", "on", "every TCP connection is encrypted", "TLS-1")
    yield Value("ssl_min_protocol_version", _FLOOR, "TLS 1.3 only", "TLS-1")
    yield Value("ssl_ca_file", str(layout.ca), "clients' certificates are judged by it", "TLS-2")
    yield Value("ssl_cert_file", str(layout.tls / "server.crt"), "verify-full works", "TLS-2")
    yield Value("ssl_key_file", str(layout.tls / "server.key"), "verify-full works", "TLS-2")


def access(manifest: Manifest, layout: Layout) -> Iterator[Value]:
    """Yield the settings of port, administrative socket and access files."""
    yield Value("port", str(manifest.server.port), "server.port", "server.port")
    socket = str(layout.socket).replace('"', '""')
    # A list of directories: quoted, or a comma or a leading space would split it.
    yield Value("unix_socket_directories", f'"{socket}"', "a 0700 directory of the state", "DESIGN")
    yield Value("unix_socket_permissions", "0700", "for the server's user alone", "DESIGN")
    yield Value("hba_file", str(layout.server / "pg_hba.conf"), "in the state directory", "ROL-6")
    yield Value(
        "ident_file", str(layout.server / "pg_ident.conf"), "in the state directory", "DESIGN"
    )
