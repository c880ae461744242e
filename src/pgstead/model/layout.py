"""Where everything of a stead lies. Pure: paths as values, no look at the disk."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

_SAFE = re.compile(r"[^A-Za-z0-9_.-]")


def file_label(name: str) -> str:
    """Return a program's name as supervisord and a file system take it (ASCII, no `/`)."""
    return _SAFE.sub(lambda match: f"={match[0].encode().hex()}", name)


@dataclass(frozen=True, slots=True)
class Layout:
    """The tree below the state directory.

    As root with a checkout that the servers' user cannot traverse, `state` is
    `/var/lib/pgstead/<id>` and `.pgstead` in the checkout is a pointer to it (docs/adr/0006).
    """

    state: PurePosixPath
    manifest_directory: PurePosixPath

    @property
    def identity(self) -> PurePosixPath:
        """The stead's id, name, major and the build that made its data directory (JSON)."""
        return self.state / "identity.json"

    @property
    def lock(self) -> PurePosixPath:
        """The file that one command at a time holds."""
        return self.state / "lock"

    @property
    def journal(self) -> PurePosixPath:
        """What was done, one JSON object a line."""
        return self.state / "journal.jsonl"

    @property
    def tls(self) -> PurePosixPath:
        """ca.crt, ca.key, server.crt, server.key, pooler.crt, pooler.key."""
        return self.state / "tls"

    @property
    def ca(self) -> PurePosixPath:
        """The certificate that clients verify against (sslrootcert)."""
        return self.tls / "ca.crt"

    @property
    def secrets(self) -> PurePosixPath:
        """One file of mode 0600 per role: its password and nothing else."""
        return self.state / "secrets"

    @property
    def passfiles(self) -> PurePosixPath:
        """libpq password files, one per role, mode 0600."""
        return self.state / "passfiles"

    @property
    def keys(self) -> PurePosixPath:
        """One file of mode 0600 per database: the keys of its encrypted columns."""
        return self.state / "keys"

    @property
    def persons(self) -> PurePosixPath:
        """Secrets of persons, which an erasure destroys: a directory per database, a file each."""
        return self.state / "persons"

    def person_keys(self, database: str) -> PurePosixPath:
        """Return the directory with secrets of a database's persons."""
        return self.persons / database

    @property
    def connections(self) -> PurePosixPath:
        """One JSON file per database for applications: hosts, ports, CA, passfile, figures."""
        return self.state / "connections"

    @property
    def data(self) -> PurePosixPath:
        """The data directory."""
        return self.state / "server" / "data"

    @property
    def socket(self) -> PurePosixPath:
        """The 0700 directory of the administrative socket (peer only)."""
        return self.state / "server" / "run"

    @property
    def server(self) -> PurePosixPath:
        """pgstead.conf, pg_hba.conf and pg_ident.conf; owned by the servers' user."""
        return self.state / "server"

    @property
    def server_log(self) -> PurePosixPath:
        """The server's own log directory."""
        return self.state / "server" / "log"

    @property
    def pooler(self) -> PurePosixPath:
        """pgbouncer.ini, userlist.txt, the pooler's log and console socket."""
        return self.state / "pooler"

    @property
    def run(self) -> PurePosixPath:
        """The supervisor's configuration, socket and pids."""
        return self.state / "run"

    @property
    def applied(self) -> PurePosixPath:
        """The manifest that the last `up` was given."""
        return self.run / "applied.toml"

    @property
    def logs(self) -> PurePosixPath:
        """Logs of the supervisor and of supervised programs that have none of their own."""
        return self.state / "log"

    def log(self, program: str) -> PurePosixPath:
        """Return the file that a program's own output goes to."""
        return self.logs / f"{file_label(program)}.log"

    @property
    def toolchain(self) -> PurePosixPath:
        """Binaries fetched as data: postgresql/<version>, pgbouncer/<version>, lib."""
        return self.state / "toolchain"

    @property
    def proofs(self) -> PurePosixPath:
        """Reports of `prove`, newest last."""
        return self.state / "proofs"

    @property
    def backup(self) -> PurePosixPath:
        """Barman's configuration and log, and the catalog of what was done; 0700."""
        return self.state / "backup"

    @property
    def barman_conf(self) -> PurePosixPath:
        """The configuration that Barman is called with."""
        return self.backup / "barman.conf"

    @property
    def backup_catalog(self) -> PurePosixPath:
        """Each run of a backup, a verification or a drill (SQLite)."""
        return self.backup / "catalog.sqlite"

    @property
    def runs(self) -> PurePosixPath:
        """Each run of retention, of partitions, of integrity (SQLite)."""
        return self.state / "care" / "runs.sqlite"

    @property
    def telemetry(self) -> PurePosixPath:
        """What the agent has seen: samples.db; readable by the services."""
        return self.state / "telemetry"

    @property
    def alerts(self) -> PurePosixPath:
        """Alerts: their states, history and silences, and who was told."""
        return self.telemetry / "alerts.db"

    @property
    def audit(self) -> PurePosixPath:
        """The audit trail, one file a day, and how far logs were read; 0700."""
        return self.state / "audit"

    @property
    def personal(self) -> PurePosixPath:
        """Who was erased, and the key of masked copies; 0700."""
        return self.state / "personal"

    @property
    def erasures(self) -> PurePosixPath:
        """Erasures, one JSON object a line: what a restore has to do again."""
        return self.personal / "erasures.jsonl"

    @property
    def mask_key(self) -> PurePosixPath:
        """What the pseudonyms of masked copies are made by."""
        return self.personal / "mask.key"

    @property
    def baseline(self) -> PurePosixPath:
        """What the load took when `bench baseline` was run last (JSON)."""
        return self.state / "bench" / "baseline.json"

    @property
    def mirror_known(self) -> PurePosixPath:
        """What is remembered of the copy of the backups in object storage (JSON)."""
        return self.backup / "mirror.json"

    @property
    def upkeep(self) -> PurePosixPath:
        """What was done to tables and indexes, and how it ended (SQLite)."""
        return self.state / "upkeep" / "history.sqlite"

    @property
    def upgrade(self) -> PurePosixPath:
        """How far a major upgrade has come, and what its rehearsal showed."""
        return self.state / "upgrade"

    @property
    def rehearsals(self) -> PurePosixPath:
        """What the last rehearsal of each database showed."""
        return self.state / "rehearsals"

    def rehearsal(self, database: str) -> PurePosixPath:
        """Return the file with what the last rehearsal of a database tried."""
        return self.rehearsals / f"{database}.json"

    def secret(self, role: str) -> PurePosixPath:
        """Return the password file of a role."""
        return self.secrets / role

    def passfile(self, role: str) -> PurePosixPath:
        """Return the libpq passfile of a role (both doors, every database it may use)."""
        return self.passfiles / role

    def key_file(self, database: str) -> PurePosixPath:
        """Return the file with the keys of a database's encrypted columns."""
        return self.keys / f"{database}.json"

    def connection(self, database: str) -> PurePosixPath:
        """Return the connection file of a database."""
        return self.connections / f"{database}.json"
