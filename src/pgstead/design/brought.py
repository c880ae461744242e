"""Files that the manifest names outside of itself, and where containers see them. Pure.

Compose's own secrets are mounts of files of the machine, with its owners and modes: what nobody
but their owner may read, no container could. They are carried into the volume of the state.
"""

from __future__ import annotations

from pgstead.manifest.document import Manifest
from pgstead.model.containers import BROUGHT


def files(manifest: Manifest) -> dict[str, str]:
    """Return the files that are named, by their key in the manifest."""
    tls, s3, alerts = manifest.tls, manifest.backup.s3, manifest.alerts
    named = {
        "tls.ca": tls.ca,
        "tls.certificate": tls.certificate,
        "tls.key": tls.key,
        "backup.passphrase_file": manifest.backup.passphrase_file,
        "backup.s3.access_key_file": s3.access_key_file if s3 else "",
        "backup.s3.secret_key_file": s3.secret_key_file if s3 else "",
        "backup.s3.ca_file": s3.ca_file if s3 else "",
        "alerts.targets_file": alerts.targets_file,
        "alerts.heartbeat_file": alerts.heartbeat_file,
        **{_target(target.name): target.url_file for target in alerts.targets},
    }
    return {key: path for key, path in named.items() if path}


def _target(name: str) -> str:
    return f"alerts.targets.{name}"


def seen(manifest: Manifest) -> Manifest:
    """Return the manifest with the places that containers see those files at."""
    at = {key: f"{BROUGHT}/{key}" for key in files(manifest)}

    def place(key: str) -> str:
        return at.get(key, "")

    backup, alerts = manifest.backup, manifest.alerts
    s3 = backup.s3
    if s3 is not None:
        names = ("access_key_file", "secret_key_file", "ca_file")
        s3 = s3.model_copy(update={name: place(f"backup.s3.{name}") for name in names})
    told = {"passphrase_file": place("backup.passphrase_file"), "s3": s3}
    targets = tuple(
        target.model_copy(update={"url_file": place(_target(target.name))})
        for target in alerts.targets
    )
    heard = {name: place(f"alerts.{name}") for name in ("targets_file", "heartbeat_file")}
    return manifest.model_copy(
        update={
            "tls": manifest.tls.model_copy(
                update={name: place(f"tls.{name}") for name in ("ca", "certificate", "key")}
            ),
            "backup": backup.model_copy(update=told),
            "alerts": alerts.model_copy(update={**heard, "targets": targets}),
        }
    )


def asks_outside(manifest: Manifest) -> bool:
    """Say whether the toolbox speaks to somebody outside: object storage, who is told of alerts."""
    alerts = manifest.alerts
    told = bool(alerts.targets_file or alerts.targets or alerts.heartbeat_file)
    return manifest.backup.s3 is not None or told
