"""What the server logs, and where (SRV-9)."""

from __future__ import annotations

from collections.abc import Iterator

from pgstead.design.reasons import Value
from pgstead.manifest.document import Manifest
from pgstead.manifest.quantities import written_duration
from pgstead.model.layout import Layout

PREFIX = "%t [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h "


def settings(manifest: Manifest, layout: Layout) -> Iterator[Value]:
    """Yield the settings of the log."""
    slow = written_duration(manifest.server.slow_statement)
    # jsonlog exists since 15, the oldest version supported.
    yield Value("log_destination", "stderr,jsonlog", "for people and for programs", "SRV-9")
    yield Value("logging_collector", "on", "a supervisor's pipe dies with the supervisor", "SRV-9")
    yield Value("log_directory", str(layout.server_log), "in the state directory", "SRV-9")
    yield Value("log_filename", "postgresql-%a.log", "one file per weekday", "SRV-9")
    yield Value("log_file_mode", "0600", "for the servers' user alone", "SRV-9")
    yield Value("log_rotation_age", "1d", "a week is kept", "SRV-9")
    yield Value("log_rotation_size", "0", "by day alone, or a weekday would be cut", "SRV-9")
    yield Value("log_truncate_on_rotation", "on", "last week's file is overwritten", "SRV-9")
    yield Value("log_line_prefix", PREFIX, "time, pid, line, user, database, client", "SRV-9")
    yield Value("log_min_duration_statement", slow, "server.slow_statement", "SRV-9")
    yield Value("log_lock_waits", "on", "lock waits are logged", "SRV-9")
    yield Value("log_temp_files", "0", "every temporary file", "SRV-9")
    yield Value("log_checkpoints", "on", "checkpoints tell when WAL is too small", "SRV-9")
    yield Value("log_autovacuum_min_duration", "10s", "long vacuums", "SRV-10")
    yield Value("log_connections", "on", "who came, and how authenticated", "ROL-7")
    yield Value("log_disconnections", "on", "who left, and how long they stayed", "ROL-7")
    yield Value("log_statement", "ddl", "changes of the schema", "AUD-1")
    yield Value("log_parameter_max_length", "0", "no values in logs", "ENC-5")
    yield Value("log_parameter_max_length_on_error", "0", "no values in logs", "ENC-5")
