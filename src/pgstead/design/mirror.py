"""Where a copy of the backups is kept in object storage (BAK-4)."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from pgstead.errors import ManifestError
from pgstead.manifest.document import Manifest
from pgstead.model.layout import Layout
from pgstead.model.mirror import MirrorPlan

_REGION = "us-east-1"  # what servers that are not AWS take for any


def plan(manifest: Manifest, layout: Layout) -> MirrorPlan | None:
    """Return where the copy is kept, None where none is wanted. Raises ManifestError."""
    told = manifest.backup.s3
    if told is None:
        return None
    if not manifest.backup.encryption:
        raise ManifestError(
            "what leaves this machine is encrypted (ENC-3), and these backups are not",
            hint="backup.encryption = true, or leave backup.s3 out; no waiver lets it be",
            key="backup.s3",
        )
    if told.endpoint.startswith("http://") and not _is_loopback(told.endpoint):
        raise ManifestError(
            f"{told.endpoint} shows who keeps which backups to everybody on the way",
            hint="https://, with backup.s3.ca_file where the certificate is of a CA of your own",
            key="backup.s3.endpoint",
        )
    home = layout.manifest_directory

    def file(name: str) -> str:
        return str(home / name) if name else ""

    return MirrorPlan(
        bucket=told.bucket,
        prefix=told.prefix or manifest.name,
        endpoint=told.endpoint.rstrip("/"),
        region=told.region or _REGION,
        access_key=file(told.access_key_file),
        secret_key=file(told.secret_key_file),
        ca=file(told.ca_file),
        interval=told.interval,
        max_age=told.max_age,
        with_key=told.with_key,
    )


def _is_loopback(endpoint: str) -> bool:
    host = urlsplit(endpoint).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
