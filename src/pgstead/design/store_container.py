"""A store that speaks S3, in a container beside: where a copy of the backups is kept. Pure.

Versity's gateway over a directory. Its keys are made with the other secrets, and reach it as
files, in a volume of its own; its certificate is of the stead's CA.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgstead.design.memory import MB
from pgstead.errors import ManifestError
from pgstead.manifest.document import Manifest
from pgstead.manifest.mirror import S3
from pgstead.model.address import Resource
from pgstead.model.containers import (
    HANDED,
    HOME,
    STORE,
    STORE_KEYS,
    Container,
    Health,
    Limits,
    Mount,
    Until,
)
from pgstead.model.resources import SecretFile

HOST = "store.internal"
_PORT = 7070
_BUCKET = "backups"
_SEEN = "/etc/store"
# A directory is a bucket; keys are in the environment of that process alone, so that no engine
# tells them; a renewed certificate is read at SIGHUP, before `up` that renewed it has ended.
_SCRIPT = f"""umask 077
mkdir -p /store/{_BUCKET}
export ROOT_ACCESS_KEY_ID="$(cat {_SEEN}/{STORE_KEYS[0]})"
export ROOT_SECRET_ACCESS_KEY="$(cat {_SEEN}/{STORE_KEYS[1]})"
touch /tmp/read
while sleep 2; do
  if test {_SEEN}/{STORE}.crt -nt /tmp/read; then touch /tmp/read; kill -HUP $$; fi
done &
exec /usr/local/bin/versitygw --port :{_PORT} --cert {_SEEN}/{STORE}.crt --key {_SEEN}/{STORE}.key\
 --health /health --quiet posix /store
"""


def is_there(manifest: Manifest) -> bool:
    """Say whether the manifest asks for it."""
    return manifest.containers.store and manifest.backup.enabled


def asked(manifest: Manifest) -> tuple[str, ...]:
    """Return the profile that it takes, where the manifest asks for it."""
    return (STORE,) if is_there(manifest) else ()


def used(manifest: Manifest) -> Manifest:
    """Return the manifest with the copy of the backups kept there. Raises ManifestError."""
    if not is_there(manifest):
        return manifest
    if manifest.backup.s3 is not None:
        raise ManifestError(
            "the copy of the backups is kept in one place, and backup.s3 names another",
            hint="choose: containers.store, or backup.s3",
            key="containers.store",
        )
    told = S3(
        bucket=_BUCKET,
        endpoint=f"https://{HOST}:{_PORT}",
        access_key_file=f"{HOME}/secrets/{STORE_KEYS[0]}",
        secret_key_file=f"{HOME}/secrets/{STORE_KEYS[1]}",
        ca_file=f"{HOME}/tls/ca.crt",
    )
    return manifest.model_copy(update={"backup": manifest.backup.model_copy(update={"s3": told})})


def resources(manifest: Manifest) -> Iterator[Resource]:
    """Yield its keys."""
    if is_there(manifest):
        yield from (SecretFile(name, 0o600) for name in STORE_KEYS)


def mounts(manifest: Manifest) -> Iterator[Mount]:
    """Yield what the toolbox sees of it: what it is handed, and its volume for the owner's sake.

    A new volume belongs to whom its directory in an image belongs to, and the store's has none.
    """
    if is_there(manifest):
        yield Mount(STORE, f"{HOME}/{STORE}")
        yield Mount(f"{STORE}-tls", f"{HOME}/{HANDED}/{STORE}")


def containers(manifest: Manifest) -> Iterator[Container]:
    """Yield it where it is asked for."""
    if not is_there(manifest):
        return
    uid = manifest.containers.uid
    asks = f"https://127.0.0.1:{_PORT}/health"
    yield Container(
        name=STORE,
        image=manifest.containers.image.store,
        built=False,
        entrypoint=("/bin/sh", "-c", _SCRIPT),
        command=(),
        limits=Limits(memory=512 * MB, cpus=1, processes=128),
        user=f"{uid}:{uid}",
        mounts=(Mount(STORE, "/store"), Mount(f"{STORE}-tls", _SEEN, read_only=True)),
        alias=HOST,
        waits={"provision": Until.DONE},
        health=Health(f"wget -q --no-check-certificate -O /dev/null {asks}"),
        profile=STORE,
    )
