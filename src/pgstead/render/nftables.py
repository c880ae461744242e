"""Rules of the host's firewall: whose packets reach the doors of a stead at all (DEP-12).

A table of its own, so that it stands beside whatever rules a host has: a packet is let in when no
table refuses it (nft(8), "Chains": an accept ends the chain, a drop ends the packet).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from pgstead.model.design import Design
from pgstead.model.file_tree import MARK, TreeFile
from pgstead.render import unit_syntax

_LOOPBACK = ("127.0.0.0/8", "::1/128")
_UNFIT = re.compile(r"[^A-Za-z0-9_]")


def files(design: Design) -> tuple[TreeFile, ...]:
    """Return the file with the rules, as `nft -f` reads it."""
    stem = unit_syntax.name("pgstead", design.name)
    return (TreeFile(PurePosixPath(f"etc/nftables.d/{stem}.nft"), text(design)),)


def table(design: Design) -> str:
    """Return the name of the table."""
    return _UNFIT.sub(lambda m: f"_{m[0].encode().hex()}", f"pgstead_{design.name}")


def text(design: Design) -> str:
    """Return the rules; loading them again replaces them whole."""
    name = table(design)
    ports = ", ".join(str(port) for port in sorted({door.port for door in design.doors}))
    lines = [
        "#!/usr/sbin/nft -f",
        f"# {MARK} nftables`: who may reach the ports of {design.name!r}",
        f"# {', '.join(f'{door.name} {door.port}' for door in design.doors)}",
        # Made first, so that it can be deleted: both in one transaction with what follows.
        f"table inet {name}",
        f"delete table inet {name}",
        f"table inet {name} {{",
        *(f"  {line}" for line in _sets(design)),
        "  chain input {",
        "    type filter hook input priority filter - 10; policy accept;",
        f"    tcp dport != {{ {ports} }} accept",
        '    iif "lo" accept',
        "    ip saddr @networks4 accept",
        "    ip6 saddr @networks6 accept",
        "    ct state established,related accept",
        '    limit rate 10/minute burst 20 packets log prefix "pgstead refused: "',
        "    counter drop",
        "  }",
        "}",
    ]
    return "\n".join(lines) + "\n"


def _sets(design: Design) -> Iterator[str]:
    for version, kind in ((4, "ipv4_addr"), (6, "ipv6_addr")):
        networks = [str(n) for n in _networks(design) if n.version == version]
        elements = f" elements = {{ {', '.join(networks)} }};" if networks else ""
        yield f"set networks{version} {{ type {kind}; flags interval; auto-merge;{elements} }}"


def _networks(design: Design) -> Iterator[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Yield the networks of the manifest; loopback is let in by its interface, never by address."""
    lo = [ipaddress.ip_network(n) for n in _LOOPBACK]
    for text in design.networks:
        found = ipaddress.ip_network(text, strict=False)
        if not any(found.version == own.version and found.overlaps(own) for own in lo):
            yield found
        elif found.prefixlen == 0:
            yield found  # everybody, who was named as such
