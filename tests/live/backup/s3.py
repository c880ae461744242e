"""A real S3 server on this machine (moto's, in a process of its own), and steads that use it."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from pgstead.cli.wiring import SILENT
from pgstead.host.backup_tools import S3
from pgstead.host.s3 import S3Store
from pgstead.model.host import BackupTools
from pgstead.model.layout import Layout
from pgstead.model.mirror import MirrorPlan
from tests.fix_stead import LiveStead, cache_directory, locked, stead_in, toolchain
from tests.free_ports import free_ports

BUCKET = "kept-elsewhere"
_KEYS = ("test-access", "test-secret")


@dataclass(frozen=True)
class ObjectServer:
    """A server with a bucket."""

    endpoint: str

    @property
    def client(self) -> Any:
        """A client of it."""
        access, secret = _KEYS
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=access,
            aws_secret_access_key=secret,
            config=Config(
                s3={"addressing_style": "path"},
                retries={"total_max_attempts": 1},
                connect_timeout=2,
            ),
        )

    def check_accounts(self, *, wanted: bool) -> None:
        """Have the server let in only accounts that it knows, of which there is none."""
        request = urllib.request.Request(
            f"{self.endpoint}/moto-api/reset-auth",
            data=b"0" if wanted else b"1000000000",
            headers={"Content-Type": "text/plain"},
            method="POST",
        )
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 200

    def keys(self, prefix: str = "") -> list[str]:
        """Return the keys of all objects."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return sorted(found["Key"] for page in pages for found in page.get("Contents", ()))

    def get(self, key: str) -> bytes:
        """Return an object."""
        return self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()

    def put(self, key: str, body: bytes) -> None:
        """Store an object."""
        self.client.put_object(Bucket=BUCKET, Key=key, Body=body)

    def delete(self, key: str) -> None:
        """Remove an object."""
        self.client.delete_object(Bucket=BUCKET, Key=key)


def store(server: ObjectServer, directory: Path, python: str = "", **given: Any) -> S3Store:
    """Return our side of it; the keys' files are made in a directory."""
    for name, text in zip(("access", "secret"), _KEYS, strict=True):
        (directory / name).write_text(text + "\n")
        (directory / name).chmod(0o600)
    plan = MirrorPlan(
        bucket=BUCKET,
        prefix="tried",
        endpoint=server.endpoint,
        region="us-east-1",
        access_key=str(directory / "access"),
        secret_key=str(directory / "secret"),
        ca="",
        interval=60,
        max_age=900,
        with_key=False,
    )
    tools = BackupTools("", python or sys.executable, "", "", "", s3=str(packages()))
    return S3Store(replace(plan, **given), tools, SILENT)


@contextmanager
def object_server() -> Iterator[ObjectServer]:
    """Run one on a free port of the loopback, with a bucket."""
    (port,) = free_ports(1)
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        server = ObjectServer(f"http://127.0.0.1:{port}")
        _make_bucket(server)
        yield server
    finally:
        process.kill()
        process.wait()


def _make_bucket(server: ObjectServer) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            server.client.create_bucket(Bucket=BUCKET)
        except (BotoCoreError, ClientError):
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return


def backup_in_s3(server: ObjectServer, directory: Path, *, more: str = "", top: str = "") -> str:
    """Return what a manifest says of backups that are copied there; the keys' files are made."""
    for name, text in zip(("access", "secret"), _KEYS, strict=True):
        (directory / name).write_text(text + "\n")
        (directory / name).chmod(0o600)
    return (
        f'true\n{top}\n[backup.s3]\nbucket = "{BUCKET}"\nendpoint = "{server.endpoint}"\n'
        f'access_key_file = "access"\nsecret_key_file = "secret"\n{more}\n'
    )


def packages() -> Path:
    """Fetch what speaks S3, once; return where it lies."""
    state = PurePosixPath(cache_directory().absolute() / "s3")
    layout = Layout(state, state)
    with locked(cache_directory() / "s3.lock"):
        S3.fetch(layout)
    return S3.place(layout)


def link_toolchain(stead: LiveStead) -> None:
    """Share the binaries as usual, with what speaks S3 beside them; each fetched once."""
    own = stead.state / "toolchain"
    own.mkdir(parents=True, mode=0o755)
    for found in toolchain(stead.major).iterdir():
        if found.name != "s3":
            (own / found.name).symlink_to(found)
    (own / "s3").symlink_to(packages().parent)


@contextmanager
def stead_with_copy(
    server: ObjectServer, directory: Path, *, more: str = "", top: str = "", **given: Any
) -> Iterator[LiveStead]:
    """Give a stead whose backups are copied there; not up yet."""
    told = backup_in_s3(server, directory, more=more, top=top)
    with stead_in(directory, link=False, backup=told, **given) as stead:
        link_toolchain(stead)
        yield stead
