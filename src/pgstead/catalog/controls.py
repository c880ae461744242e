"""The controls that an auditor counts by, and the requirements of the specifications.

The CIS text is licensed: numbers and order are those that public scanners name, the words are
ours (a number of three parts below 1.4 is a scanner's own). What a check of
`security_checks.CHECKS` names is tried; of what none names, it is said here why.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Control:
    """One control of the CIS PostgreSQL 17 Benchmark."""

    number: str
    about: str
    left: str = ""  # why nothing tries it, or to whom it is left


@dataclass(frozen=True, slots=True)
class Requirement:
    """One requirement of the specifications."""

    name: str
    says: str


_SYSLOG = "nothing is logged to syslog"
_MACHINE = "the machine's own, and not looked at: "

CONTROLS: tuple[Control, ...] = (
    Control("1.1", "programs come from where they should"),
    Control("1.2", "only what is needed is installed", _MACHINE + "its packages"),
    Control("1.3", "systemd starts the server"),
    Control("1.4.1", "the data directory is a whole one"),
    Control("1.4.2", "its version is the server's"),
    Control("1.4.3", "pages carry checksums"),
    Control("1.4.4", "WAL and temporary files lie elsewhere than the data",
            "not asked for: a full disk is foreseen and told of, and WAL leaves as it is written"),
    Control("1.4.5", "the data directory's device is encrypted"),
    Control("1.5", "versions are up to date"),
    Control("1.6", "no profile sets PGPASSWORD", _MACHINE + "the users' profiles"),
    Control("1.7", "no process has PGPASSWORD in its environment",
            "argument lists are searched, environments are not: those of others cannot be read"),
    Control("1.8", "there is no extension without use"),
    Control("1.9", "tablespaces lie outside of the data directory",
            "pgstead makes no tablespace; one beside the design is not looked for"),
    Control("2.1", "files are made for their owner alone"),
    Control("2.2", "the directory of extensions is nobody's to write",
            "its files are compared with their sums; who may write them is not looked at"),
    Control("2.3", "psql keeps no history", _MACHINE + "the users' home directories"),
    Control("2.4", "no service file has a password"),
    Control("2.5", "pg_hba.conf is closed"),
    Control("2.6", "the socket is closed"),
    Control("2.7", "the data directory is closed"),
    Control("2.8", "nothing strange lies in the data directory",
            "left to a person: links and files in it are not judged"),
    Control("3.1.2", "where the log goes"),
    Control("3.1.3", "the logging collector runs"),
    Control("3.1.4", "the log's directory"),
    Control("3.1.5", "the names of its files"),
    Control("3.1.6", "who may read them"),
    Control("3.1.7", "old files are overwritten"),
    Control("3.1.8", "how long a file grows"),
    Control("3.1.9", "how large a file grows"),
    Control("3.1.10", "syslog: facility", _SYSLOG),
    Control("3.1.11", "syslog: nothing is suppressed", _SYSLOG),
    Control("3.1.12", "syslog: nothing is cut", _SYSLOG),
    Control("3.1.13", "syslog: the program's name", _SYSLOG),
    Control("3.1.14", "which messages are logged"),
    Control("3.1.15", "statements that fail are logged"),
    Control("3.1.16", "no parse trees"),
    Control("3.1.17", "no rewritten trees"),
    Control("3.1.18", "no plan trees"),
    Control("3.1.19", "what trees there are can be read"),
    Control("3.1.20", "connections are logged"),
    Control("3.1.21", "disconnections are logged"),
    Control("3.1.22", "how much a message tells"),
    Control("3.1.23", "addresses, no host names"),
    Control("3.1.24", "each line tells who and when"),
    Control("3.1.25", "statements are logged"),
    Control("3.1.26", "the log's time zone"),
    Control("3.1.27", "the log lies outside of the data directory"),
    Control("3.2", "who did what is audited"),
    Control("4.1", "nobody logs in as the server's user",
            _MACHINE + "`render systemd` makes that user without a shell"),
    Control("4.2", "sudo is set up", _MACHINE + "sudo"),
    Control("4.3", "nobody has administrative rights beyond need"),
    Control("4.4", "accounts without use are locked"),
    Control("4.5", "functions are called by whom they are for"),
    Control("4.6", "tables are changed by whom they are for"),
    Control("4.7", "row security is set up"),
    Control("4.8", "set_user is installed",
            "not used: the only superuser comes by a socket of mode 0700, and is audited"),
    Control("4.9", "predefined roles are used, and by few"),
    Control("4.10", "the schema public is protected"),
    Control("5.1", "no password on a command line"),
    Control("5.2", "the server listens where it should"),
    Control("5.3", "how one logs in by the socket"),
    Control("5.4", "how one logs in by TCP"),
    Control("5.5", "each account has its limit of connections"),
    Control("5.6", "passwords are complex"),
    Control("5.7", "authentication is limited in time, and slowed"),
    Control("5.8", "clients use TLS"),
    Control("5.9", "ranges of addresses are narrow"),
    Control("5.10", "databases and users are named"),
    Control("5.11", "no superuser comes from afar"),
    Control("5.12", "passwords are kept as SCRAM has them"),
    Control("6.2", "settings of sessions"),
    Control("6.3", "settings of the start"),
    Control("6.4", "settings that are read again"),
    Control("6.5", "settings of the superuser"),
    Control("6.6", "settings of users"),
    Control("6.7", "cryptography by FIPS 140", _MACHINE + "its OpenSSL is what it is"),
    Control("6.8", "TLS is set up"),
    Control("6.9", "there is cryptography for columns"),
    Control("6.10", "weak ciphers are off"),
    Control("6.11", "there is a way to make data anonymous",
            "`pgstead pii mask` makes copies; whether one is good is not a question to the server"),
    Control("7.1", "a user for replication alone"),
    Control("7.2", "replication commands are logged",
            "left at the default: the receiver's logins are logged, its commands are not"),
    Control("7.3", "base backups work"),
    Control("7.4", "the archive of WAL works"),
    Control("7.5", "settings of standbys", "there is no standby"),
    Control("8.1", "what is the server's own lies outside of the data directory"),
    Control("8.2", "a tool for backup and restore is set up"),
)  # fmt: skip

REQUIREMENTS: tuple[Requirement, ...] = (
    Requirement(
        "SEC-001",
        "sensitive data is encrypted: AES-256 where it lies, TLS 1.3 where it travels",
    ),
    Requirement(
        "SEC-002",
        "roles have the least they need, and every attempt to reach data is audited",
    ),
    Requirement(
        "SEC-003",
        "everybody proves who they are by a strong password; idle sessions end after 15 minutes",
    ),
)
