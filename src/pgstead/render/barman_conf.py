"""barman.conf: one server, by streaming; nothing in it is secret."""

from __future__ import annotations

from pgstead.model.backup import SERVER, BackupPlan, kilobytes
from pgstead.model.design import Design


def text(design: Design, plan: BackupPlan) -> str:
    """Return the file (https://docs.pgbarman.org, the page on its configuration)."""
    layout, values = design.layout, _values(design, plan)
    lines = [
        f"; made by pgstead for {design.name!r}; edits are undone by `pgstead up`",
        "[barman]",
        f"barman_user = {design.host.os_user}",
        f"barman_home = {plan.repository}",
        f"barman_lock_directory = {layout.backup}",
        f"log_file = {layout.backup / 'barman.log'}",
        "log_level = INFO",
        f"path_prefix = {design.build.bindir}",
        # Of no use here, and yet Barman makes it before each base backup: by default below /tmp,
        # where the first user of a machine keeps out all others.
        f"cloud_staging_directory = {layout.backup / 'cloud-staging'}",
        "",
        f"[{SERVER}]",
        *(f"{name} = {value}" for name, value in values.items()),
    ]
    return "\n".join(lines) + "\n"


def _values(design: Design, plan: BackupPlan) -> dict[str, str]:
    values = {
        "description": design.name,
        "conninfo": f"{_conninfo(design)} dbname=postgres",
        "streaming_conninfo": _conninfo(design),
        "backup_method": "postgres",
        "streaming_archiver": "on",
        "slot_name": plan.slot,
        "create_slot": "manual",  # `up` makes it
        "backup_compression": plan.compression,
        "backup_compression_format": "tar",
        # On the server it would take its CPU and, before 18, nothing could be verified.
        "backup_compression_location": "client",
        "compression": plan.compression,
        "retention_policy": f"RECOVERY WINDOW OF {plan.retention} DAYS",
        "minimum_redundancy": str(plan.minimum),
        "immediate_checkpoint": "true",
    }
    if plan.compression == "none":
        for name in ("backup_compression", "backup_compression_format", "compression"):
            del values[name]
        del values["backup_compression_location"]
    if plan.rate_limit:
        values["bandwidth_limit"] = str(kilobytes(plan.rate_limit))
    if plan.encrypted:
        values["encryption"] = "gpg"
        values["encryption_key_id"] = plan.recipient
        values["encryption_passphrase_command"] = f"cat {_quoted(plan.passphrase)}"
    return values


def _conninfo(design: Design) -> str:
    layout, door = design.layout, design.door("direct")
    passfile = layout.passfile(design.backup_role)
    told = {"user": design.backup_role, "passfile": str(passfile), "port": design.settings["port"]}
    if door is not None and door.tls:
        host = "localhost" if design.host.network is None else door.hosts[0]
        told |= {"host": host, "sslmode": "verify-full", "sslrootcert": str(layout.ca)}
    else:
        told |= {"host": str(layout.socket)}
    return " ".join(f"{name}={_value(value)}" for name, value in told.items())


def _value(text: str) -> str:
    """Quote a value of a connection string (libpq, 32.1.1.1)."""
    if text and not any(c in " '\\" for c in text):
        return text
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _quoted(path: str) -> str:
    """Quote for /bin/sh, which Barman hands the command to."""
    return "'" + path.replace("'", "'\\''") + "'"
