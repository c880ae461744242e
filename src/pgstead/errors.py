"""The error tree. Every error that a user may meet has a code, a hint and an exit status.

    SteadError                      exit 1  something failed
    ├── UsageError                  exit 2  the command line asks for what cannot be
    ├── ManifestError               exit 2  the manifest is wrong (carries the key path)
    │   └── BudgetError             exit 2  the connection or memory budget does not add up
    ├── DriftError                  exit 3  the plan is not empty
    ├── NotAllowedError             exit 3  the plan holds an impact that was not allowed
    │   ├── GateError               exit 3  a condition for production is not met
    │   └── StillInUseError         exit 3  an old credential is still in use
    ├── InitializationError         exit 5  the first initialization failed
    ├── HostError                   exit 1  the machine lacks or refuses something
    │   ├── PortTakenError
    │   ├── MissingServerError
    │   ├── MissingLibraryError
    │   ├── MissingPoolerError
    │   ├── MissingBackupToolError
    │   ├── MissingEngineError
    │   ├── NoNetworkError
    │   ├── StateDirectoryError
    │   └── NoServerUserError
    ├── CertificateError            exit 1  a certificate is corrupt, expired or foreign
    ├── KeysLostError               exit 1  the keys of encrypted values are gone
    ├── ForeignStateError           exit 1  the state belongs to another stead or major version
    │   └── OtherMajorError         exit 1  it is of another major version than the manifest
    ├── NotRunningError             exit 1  the stead (or a part of it) is not running
    ├── BusyError                   exit 1  another pgstead command holds the lock
    ├── SqlError                    exit 1  the server refused a statement of ours
    ├── PersonalDataError           exit 1  a person cannot be erased, or a copy not be masked
    ├── UpgradeError                exit 1  a major upgrade failed, or was left half-done
    └── BackupError                 exit 1  a backup, its verification or a recovery failed
        ├── MirrorError             exit 1  the copy of the backups in object storage is not had
        └── UnreachableTargetError  exit 1  recovery did not get to the moment asked for

Anything else that escapes is a bug and is reported as one, with the path of its log.
"""

from __future__ import annotations

from enum import IntEnum


class ExitStatus(IntEnum):
    """What the process tells its caller (DESIGN, hard rule 6)."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    DRIFT = 3
    UNPROVEN = 4
    INITIALIZATION = 5


class SteadError(Exception):
    """something failed"""

    code = "stead-error"
    exit_status = ExitStatus.FAILED

    def __init__(self, message: str, *, hint: str = "") -> None:
        """Keep a lower-case message that says what was tried, and a hint that says what to do."""
        super().__init__(message)
        self.message = message
        self.hint = hint
        if hint:
            self.add_note(f"hint: {hint}")  # a traceback shows it

    def as_dict(self) -> dict[str, object]:
        """Return what `--json` prints."""
        return {
            "error": self.code,
            "message": self.message,
            "hint": self.hint,
            "exit_status": int(self.exit_status),
        }


class UsageError(SteadError):
    """the command line asks for what cannot be"""

    code = "usage"
    exit_status = ExitStatus.USAGE


class ManifestError(SteadError):
    """the manifest is wrong"""

    code = "manifest-invalid"
    exit_status = ExitStatus.USAGE

    def __init__(
        self, message: str, *, hint: str = "", key: str = "", problems: tuple[str, ...] = ()
    ) -> None:
        """Name the key path (`server.port`); `problems` lists all that was found, one line each."""
        super().__init__(message, hint=hint)
        self.key = key
        self.problems = problems

    def as_dict(self) -> dict[str, object]:
        """Return what `--json` prints, with the key path and every problem."""
        return {**super().as_dict(), "key": self.key, "problems": list(self.problems)}


class BudgetError(ManifestError):
    """the connection or memory budget does not add up"""

    code = "budget-exceeded"


class DriftError(SteadError):
    """the plan is not empty"""

    code = "drift"
    exit_status = ExitStatus.DRIFT


class NotAllowedError(SteadError):
    """the plan holds an impact that was not allowed"""

    code = "not-allowed"
    exit_status = ExitStatus.DRIFT


class GateError(NotAllowedError):
    """a condition for migrating a production database is not met"""

    code = "gate"

    def __init__(
        self, message: str, *, hint: str = "", unmet: tuple[dict[str, object], ...] = ()
    ) -> None:
        """List each condition: its database, what is wrong, the way out."""
        super().__init__(message, hint=hint)
        self.unmet = unmet

    def as_dict(self) -> dict[str, object]:
        """Return what `--json` prints, with every condition."""
        return {**super().as_dict(), "unmet": list(self.unmet)}


class StillInUseError(NotAllowedError):
    """an old credential is still in use, and was not refused"""

    code = "still-in-use"

    def __init__(self, message: str, *, hint: str = "", users: tuple[str, ...] = ()) -> None:
        """List who comes with it."""
        super().__init__(message, hint=hint)
        self.users = users

    def as_dict(self) -> dict[str, object]:
        """Return what `--json` prints, with everyone."""
        return {**super().as_dict(), "users": list(self.users)}


class InitializationError(SteadError):
    """the first initialization failed"""

    code = "initialization-failed"
    exit_status = ExitStatus.INITIALIZATION


class HostError(SteadError):
    """the machine lacks or refuses something"""

    code = "host"


class PortTakenError(HostError):
    """a port that the manifest names is taken"""

    code = "port-taken"


class MissingServerError(HostError):
    """PostgreSQL's binaries are missing"""

    code = "missing-postgresql"


class MissingLibraryError(HostError):
    """a system library that the binaries need is missing"""

    code = "missing-library"

    def __init__(self, message: str, *, hint: str = "", libraries: tuple[str, ...] = ()) -> None:
        """Name the libraries as the loader does: `libxml2.so.2`."""
        super().__init__(message, hint=hint)
        self.libraries = libraries


class MissingPoolerError(HostError):
    """PgBouncer is missing"""

    code = "missing-pgbouncer"


class MissingBackupToolError(HostError):
    """what makes the backups is missing: Barman, rsync or gpg"""

    code = "missing-backup-tool"


class MissingEngineError(HostError):
    """what runs containers is missing or too old: Docker Compose 2"""

    code = "missing-compose"


class NoNetworkError(HostError):
    """a package registry could not be reached"""

    code = "no-network"


class StateDirectoryError(HostError):
    """the state directory cannot be used (unwritable, full, path too long)"""

    code = "state-directory"


class NoServerUserError(HostError):
    """running as root without any unprivileged user for the servers"""

    code = "no-server-user"


class CertificateError(SteadError):
    """a certificate is corrupt, expired or foreign"""

    code = "certificate"


class KeysLostError(SteadError):
    """the keys of encrypted values are gone"""

    code = "keys-lost"


class ForeignStateError(SteadError):
    """the state belongs to another stead or another major version"""

    code = "foreign-state"


class OtherMajorError(ForeignStateError):
    """the state is of another major version than the manifest asks for"""

    code = "other-major"


class NotRunningError(SteadError):
    """the stead, or a part of it, is not running"""

    code = "not-running"


class BusyError(SteadError):
    """another pgstead command holds the lock"""

    code = "busy"


class SqlError(SteadError):
    """the server refused a statement of ours"""

    code = "sql"


class PersonalDataError(SteadError):
    """a person cannot be erased, or a copy not be masked"""

    code = "personal-data"


class UpgradeError(SteadError):
    """a major upgrade failed, or was left half-done"""

    code = "upgrade"


class BackupError(SteadError):
    """a backup, its verification or a recovery failed"""

    code = "backup-failed"


class UnreachableTargetError(BackupError):
    """recovery did not get to the moment that was asked for"""

    code = "target-unreachable"


class MirrorError(BackupError):
    """the copy of the backups in object storage cannot be written, read or trusted"""

    code = "mirror-failed"
