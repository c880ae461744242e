"""What an auditor asks of a PostgreSQL, and which promises try it live.

Controls and requirements are those of `controls`: each is named by a check, or says why by none.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SecurityCheck:
    """One question. Without promises nobody tries it yet, and the report says so."""

    number: int
    asks: str
    promises: tuple[str, ...]
    controls: tuple[str, ...] = ()  # CIS
    sources: tuple[str, ...] = ()  # requirements of the specifications
    gap: str = ""  # what of the question no promise tries


def _check(
    number: int, asks: str, promises: str, controls: str = "", *, sources: str = "", gap: str = ""
) -> SecurityCheck:
    return SecurityCheck(
        number, asks, tuple(promises.split()), tuple(controls.split()), tuple(sources.split()), gap
    )


CHECKS: tuple[SecurityCheck, ...] = (
    _check(1, "versions have no known weakness that is not stated", "SRV-001 SRV-013 POL-005",
           "1.4.2 1.5"),
    _check(2, "plaintext is refused by every door", "TLS-001 SRV-008", "5.8", sources="SEC-001"),
    _check(3, "TLS 1.2 and older are refused", "TLS-002", "6.8", sources="SEC-001"),
    _check(4, "no weak cipher is agreed on", "TLS-002", "6.10", sources="SEC-001",
           gap="single ciphers are not offered one by one: TLS 1.3 has none that is weak"),
    _check(5, "a client can tell a false server", "TLS-003 TLS-004 TLS-005", "5.8",
           gap="certificates that were revoked"),
    _check(6, "a link cannot be talked down to plaintext", "TLS-001 TLS-008",
           gap="a man in the middle who injects bytes"),
    _check(7, "the pooler speaks verified TLS to the server", "TLS-007 TLS-008",
           sources="SEC-001"),
    _check(8, "no password is stored or asked for by MD5", "ROL-002 ROL-001", "5.12",
           sources="SEC-003"),
    _check(9, "no empty, short or default password gets in", "ROL-020 ROL-008 ROL-001", "5.6",
           sources="SEC-003"),
    _check(10, "SCRAM has enough rounds", "ROL-002", "5.12", sources="SEC-003",
           gap="channel binding, which the pooler cannot offer"),
    _check(11, "no superuser comes over the network", "ROL-023 ROL-003", "5.11 4.3"),
    _check(12, "an application is let into no database but its own", "DBS-002 DBS-003", "5.10",
           sources="SEC-002"),
    _check(13, "who comes from elsewhere is refused", "ROL-025", "5.9"),
    _check(14, "an expired role is refused, also by the pooler", "ROL-024 ROL-007", "4.4",
           sources="SEC-003"),
    _check(15, "malformed messages end a connection and nothing else", "ROL-026 POL-005",
           gap="a PgBouncer older than 1.25.2 is not sent what ends it (CVE-2026-6664)"),
    _check(16, "guessing passwords is slow", "ROL-021 ROL-022", "5.7", sources="SEC-003"),
    _check(17, "roles have the designed attributes and limits", "ROL-004 ROL-011",
           "4.3 5.5 7.1", sources="SEC-002"),
    _check(18, "no application reaches a predefined power", "ROL-005 ROL-034", "4.9",
           sources="SEC-002"),
    _check(19, "the application creates nothing", "ROL-030", "4.10", sources="SEC-002"),
    _check(20, "the application alters and drops nothing", "ROL-031", "4.6", sources="SEC-002",
           gap="LOCK: who may change a table's rows may lock it, PostgreSQL has no other privilege;"
           " time-outs end that (34)"),
    _check(21, "the application cannot step out of row security", "TEN-020 TEN-021", "4.7"),
    _check(22, "the application reaches no file and no program", "ROL-032", "4.5",
           sources="SEC-002"),
    _check(23, "the application reads no secret of the catalogs", "ROL-033", "4.5",
           sources="SEC-002"),
    _check(24, "the application steers nothing and becomes nobody else", "ROL-034 ROL-035",
           "6.2 6.6", sources="SEC-002"),
    _check(25, "privileged functions pin their search path", "DBS-011 TEN-023", "4.5"),
    _check(26, "PUBLIC may create nothing; new objects have the designed rights",
           "DBS-006 DBS-007 DBS-008", "4.10", sources="SEC-002"),
    _check(27, "row security is forced on every table of tenants", "TEN-001 TEN-002", "4.7"),
    _check(28, "no statement of one tenant touches another's rows", "TEN-005 TEN-006 TEN-024",
           "4.7"),
    _check(29, "without a tenant there is no row, and none is left over", "TEN-003 TEN-004"),
    _check(30, "errors and statistics tell nothing of other tenants", "TEN-025", "4.7",
           gap="that a key is taken is told, and how long a query takes"),
    _check(31, "a cached plan does not outlive a change of role", "POL-023 TEN-005",
           gap="CVE-2026-14666 is judged by the version (1)"),
    _check(32, "views ask as who reads them; owners cannot log in", "TEN-022 ROL-007 SCH-004"),
    _check(33, "monitor, reader, migrator, pooler and upkeep have no more than they need",
           "TEL-004 ROL-036 MGR-002 POL-002 POL-003 UPK-005", "4.3", sources="SEC-002"),
    _check(34, "time-outs fire, an idle session ends within 15 minutes",
           "SRV-020 SRV-021 SRV-022 SRV-023 POL-009", sources="SEC-003"),
    _check(35, "connection limits refuse the one too many", "ROL-011", "5.5"),
    _check(36, "files are closed to others", "SRV-010 TLS-006 ROL-009 ENC-005 BAK-006 TEL-005",
           "2.1 2.5 2.6 2.7 3.1.6 3.1.27 8.1"),
    _check(37, "backups are sealed, and nothing plain lies about",
           "BAK-005 BAK-013 BAK-015 ENC-004", "8.2", sources="SEC-001"),
    _check(38, "no secret is in arguments, logs, reports or files", "ROL-010 POL-004",
           "2.4 5.1"),
    _check(39, "secrets are rotated in time, and none is left half rotated",
           "ROT-001 ROT-002 ROT-003 ROT-004 ROT-005",
           gap="that nobody notices: tried by tests under load, not on a running stead"),
    _check(40, "who did what is in a trail that they cannot change",
           "AUD-001 AUD-002 AUD-003 AUD-004 AUD-005 AUD-006 AUD-007 AUD-008 AUD-009", "3.2",
           sources="SEC-002"),
    _check(41, "the log says what it has to", "SRV-002 SRV-004 SRV-007 SRV-012 SRV-030 ROL-022",
           "3.1.2 3.1.3 3.1.4 3.1.5 3.1.7 3.1.8 3.1.9 3.1.14 3.1.15 3.1.16 3.1.17 3.1.18 3.1.19"
           " 3.1.20 3.1.21 3.1.22 3.1.23 3.1.24 3.1.25 3.1.26"),
    _check(42, "nothing listens but what is stated; consoles are closed",
           "SRV-008 POL-006 POL-007", "5.2"),
    _check(43, "no setting endangers the data", "SRV-002 SRV-004 SRV-006 ROL-006",
           "6.2 6.3 6.4 6.5 6.6"),
    _check(44, "there are the stated extensions and no other", "DBS-009", "1.8"),
    _check(45, "what a user writes does not become SQL", "API-001 TEN-003",
           gap="reads alone: writes are tried by the tests of each service"),
    _check(46, "programs are those whose sums are pinned", "SRV-016", "1.1",
           gap="PgBouncer, Barman and Python packages are compared when they are fetched"),
    _check(47, "nothing differs from what was designed",
           "SRV-002 SRV-007 ROL-004 ROL-006 DBS-010 POL-001 SCH-002", "1.4.1 5.3 5.4"),
    _check(48, "a restored copy is as guarded as what it is of", "BAK-004"),
    _check(49, "encrypted columns hold nothing plain, and open in their place alone",
           "ENC-001 ENC-002 ENC-003 ROT-005", "6.9", sources="SEC-001"),
    _check(50, "pages carry checksums", "SRV-005", "1.4.3"),
    _check(51, "WAL and base backups work", "BAK-001 BAK-002 BAK-003 BAK-008 BAK-009",
           "7.3 7.4"),
    _check(52, "nothing runs as root", "SRV-009"),
    _check(53, "who carries a disk away reads nothing", "ENC-006 ENC-007", "1.4.5",
           sources="SEC-001",
           gap="encryption inside a drive or by its provider is not seen from the machine"),
    _check(54, "on a host every program is a unit of systemd that can gain no privilege",
           "HST-001 HST-002", "1.3"),
    _check(55, "personal data is known, and who was erased is gone",
           "PII-001 PII-002 PII-003 PII-004",
           gap="what was handed out before: an export is whose it was given to"),
    _check(56, "refusals are watched: rules are evaluated, alerts arrive",
           "TEL-010 TEL-012", sources="SEC-002",
           gap="that AccessDenied and LoginsRefused fire: tried by tests, not on a running stead"),
)  # fmt: skip
