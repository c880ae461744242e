"""What has to hold before a stead is used in production, and which promises show it.

docs/how-to/go-to-production.md is this list for people; `pgstead prove --checklist` ticks it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Point:
    """A point of the checklist; without promises somebody has to answer for it."""

    text: str
    codes: tuple[str, ...] = ()


def _point(text: str, codes: str = "") -> Point:
    return Point(text, tuple(codes.split()))


CHECKLIST: dict[str, tuple[Point, ...]] = {
    "The versions": (
        _point("server and pooler are at their newest minor releases", "SRV-001 SRV-013 POL-005"),
        _point("what runs is what the manifest says", "SRV-002 SRV-003 SRV-004 SRV-007 POL-001"),
        _point("no upgrade is half-done: extensions and statistics fit", "SRV-050 SRV-051 SRV-052"),
        _point("nothing runs as root", "SRV-009"),
        _point("on a host: units confine the programs, and start at boot", "HST-001 HST-002"),
    ),
    "The doors": (
        _point("every connection is TLS 1.3, and can be verified", "TLS-001 TLS-002 TLS-003"),
        _point("certificates are in date, keys closed", "TLS-005 TLS-006"),
        _point("only the stated networks get in", "SRV-008 ROL-025"),
        _point("the firewall of the host has the rules of `pgstead render nftables`"),
        _point("administrators come by the tunnel or a VPN"),
    ),
    "The roles": (
        _point("no superuser comes over the network", "ROL-003 ROL-023"),
        _point("an application taken over owns nothing", "ROL-030 ROL-031 ROL-032 ROL-034"),
        _point("no password lies where it should not", "ROL-009 ROL-010 POL-004"),
        _point("refused logins are logged, and slowed at the server", "ROL-021 ROL-022"),
        _point("passwords, certificates and keys are young enough", "ROT-001 ROT-002 ROT-005"),
        _point("who uses fixed passwords is known, and takes part in rotations"),
    ),
    "The audit": (
        _point("who did what is in the trail, by every door", "AUD-001 AUD-002 AUD-003"),
        _point("an application cannot touch what is recorded of it", "AUD-004"),
        _point("the trail is whole, and as it was written", "AUD-005 AUD-008"),
        _point("its head (`pgstead audit verify`) is kept on another machine"),
    ),
    "The data": (
        _point("pages carry checksums, and a commit is on the disk", "SRV-005 SRV-006"),
        _point("tenants are apart", "TEN-001 TEN-004 TEN-005 TEN-006 TEN-020"),
        _point("encrypted columns hold no plaintext", "ENC-001 ENC-002 ENC-005"),
        _point("who carries a disk away reads nothing", "ENC-006 ENC-007"),
        _point("copies of the keys of columns lie elsewhere, and somebody knows where"),
        _point("schema, migrations and models agree", "SCH-001 SCH-002 SCH-003 MGR-001"),
    ),
    "The load": (
        _point("all that may connect finds a place", "SRV-014 SRV-015 POL-010 POL-011"),
        _point("what takes too long is ended", "SRV-020 SRV-021 SRV-022 SRV-023"),
        _point("a baseline was recorded: `pgstead bench baseline`"),
    ),
    "The backups": (
        _point("WAL leaves the server within seconds, nothing is missing", "BAK-001 BAK-008"),
        _point("a young base backup was verified", "BAK-002 BAK-003"),
        _point("a drill has restored one lately", "BAK-004"),
        _point("backups are sealed and closed", "BAK-005 BAK-006 BAK-013"),
        _point("a copy lies on another machine, or in object storage"),
        _point("the passphrase lies elsewhere, and somebody else has restored with it"),
    ),
    "The watch": (
        _point("samples and rules are evaluated", "TEL-001 TEL-010"),
        _point("an alert reaches somebody: `pgstead alerts test` was received", "TEL-012"),
        _point("somebody is on call, and knows the runbooks"),
    ),
    "The crash (with --disruptive, before anybody uses it)": (
        _point("a killed server is back, and no commit is lost", "SRV-040 SRV-041"),
        _point("a killed pooler is back", "POL-030"),
        _point("health says so", "TEL-003"),
    ),
}


def codes() -> tuple[str, ...]:
    """Return every promise that a point names, once."""
    named = (c for points in CHECKLIST.values() for point in points for c in point.codes)
    return tuple(dict.fromkeys(named))


def markdown() -> str:
    """Return the list as the production guide has it."""
    lines: list[str] = []
    for title, points in CHECKLIST.items():
        lines += [f"### {title}", ""]
        for point in points:
            told = ", ".join(f"`{code}`" for code in point.codes) or "by hand"
            lines.append(f"- [ ] {point.text} ({told})")
        lines.append("")
    return "\n".join(lines)
