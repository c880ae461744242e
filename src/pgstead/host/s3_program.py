"""A program beside us that speaks S3 by boto3, from a directory of packages of its own.

It reads one request as JSON from its standard input and answers in lines of JSON: one for each
object that is done, then one that says how it ended. It imports nothing of pgstead; secrets come
by the files that the request names (docs/adr/0025).
"""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, SSLError

_PART = 16 * 2**20  # bytes; S3 takes parts of 5 MB and more, 10 000 of them
_PARTS = 9_000
_PIECE = 2**20
_AT_ONCE = 4
_MD5 = re.compile(r"^[0-9a-f]{32}$")
_REFUSED = frozenset(
    {"403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"}
)


class AlteredError(Exception):
    """What arrived is not what was sent."""


class Bucket:
    """One bucket, and what is asked of it."""

    def __init__(self, request: dict[str, Any]) -> None:
        """Connect to nothing yet; read the keys from their files."""
        self.name: str = request["bucket"]
        self.prefix: str = request["prefix"] + "/"
        self.client: Any = _client(request)

    def key(self, relative: str) -> str:
        """Return the whole key."""
        return self.prefix + relative

    # -- storing ----------------------------------------------------------------------------------

    def put(self, one: dict[str, Any]) -> dict[str, Any]:
        """Store a file; in parts where it is large, of which none is left after a failure."""
        if one["size"] > _PART:
            return {"key": one["key"], "etag": self._put_parts(one)}
        with Path(one["path"]).open("rb") as file:
            body = file.read()
        digest = hashlib.sha256(body)
        if digest.hexdigest() != one["sha256"]:
            raise AlteredError(f"{one['path']} changed while it was read")
        told = self.client.put_object(
            Bucket=self.name, Key=self.key(one["key"]), Body=body,
            ChecksumSHA256=_base64(digest.digest()), Metadata={"sha256": one["sha256"]},
        )  # fmt: skip
        _compare(told, body, one["key"])
        return {"key": one["key"], "etag": told["ETag"]}

    def _put_parts(self, one: dict[str, Any]) -> str:
        where = {"Bucket": self.name, "Key": self.key(one["key"])}
        begun = self.client.create_multipart_upload(
            **where, ChecksumAlgorithm="SHA256", Metadata={"sha256": one["sha256"]}
        )
        where["UploadId"] = begun["UploadId"]
        try:
            parts = list(self._parts(one, where))
            told = self.client.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
        except BaseException:
            self.client.abort_multipart_upload(**where)
            raise
        return str(told["ETag"])

    def _parts(self, one: dict[str, Any], where: dict[str, Any]) -> Iterator[dict[str, Any]]:
        length = max(_PART, one["size"] // _PARTS + 1)
        whole = hashlib.sha256()
        with Path(one["path"]).open("rb") as file:
            for number, body in enumerate(iter(lambda: file.read(length), b""), 1):
                whole.update(body)
                checksum = _base64(hashlib.sha256(body).digest())
                told = self.client.upload_part(
                    **where, PartNumber=number, Body=body, ChecksumSHA256=checksum
                )
                _compare(told, body, one["key"])
                yield {"PartNumber": number, "ETag": told["ETag"], "ChecksumSHA256": checksum}
        if whole.hexdigest() != one["sha256"]:  # before it is completed: nothing comes of it
            raise AlteredError(f"{one['path']} changed while it was read")

    def write(self, one: dict[str, Any]) -> dict[str, Any]:
        """Store a text; its object changes at once or not at all."""
        body = one["text"].encode()
        told = self.client.put_object(
            Bucket=self.name, Key=self.key(one["key"]), Body=body,
            ContentType="application/json",
            ChecksumSHA256=_base64(hashlib.sha256(body).digest()),
        )  # fmt: skip
        _compare(told, body, one["key"])
        return {"key": one["key"], "etag": told["ETag"]}

    # -- fetching ---------------------------------------------------------------------------------

    def get(self, one: dict[str, Any]) -> dict[str, Any]:
        """Fetch an object into a file that has its name when it is whole."""
        path = Path(one["path"])
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.part")
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            self._pour(one, file.write)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)
        return {"key": one["key"]}

    def check(self, one: dict[str, Any]) -> dict[str, Any]:
        """Read an object through, and say what is wrong with it."""
        try:
            self._pour(one, len)
        except AlteredError as error:
            return {"key": one["key"], "wrong": str(error)}
        except ClientError as error:
            if _code(error) not in {"NoSuchKey", "404"}:
                raise
            return {"key": one["key"], "wrong": "it is gone"}
        return {"key": one["key"]}

    def _pour(self, one: dict[str, Any], into: Callable[[bytes], object]) -> None:
        told = self.client.get_object(Bucket=self.name, Key=self.key(one["key"]))
        digest = hashlib.sha256()
        for piece in told["Body"].iter_chunks(_PIECE):
            digest.update(piece)
            into(piece)
        if digest.hexdigest() != one["sha256"]:
            raise AlteredError("it is not what was stored: its SHA-256 is another")

    def read(self, one: dict[str, Any]) -> dict[str, Any]:
        """Return a small object as text; null where there is none."""
        try:
            told = self.client.get_object(Bucket=self.name, Key=self.key(one["key"]))
        except ClientError as error:
            if _code(error) != "NoSuchKey":
                raise
            return {"key": one["key"], "text": None}
        return {"key": one["key"], "text": told["Body"].read().decode("utf-8", "replace")}

    # -- all of them ------------------------------------------------------------------------------

    def listing(self) -> Iterator[dict[str, Any]]:
        """Yield all objects."""
        pages = self.client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self.name, Prefix=self.prefix):
            for found in page.get("Contents", ()):
                relative = found["Key"].removeprefix(self.prefix)
                yield {"key": relative, "size": found["Size"], "etag": found["ETag"]}

    def delete(self, one: dict[str, Any]) -> dict[str, Any]:
        """Remove an object."""
        self.client.delete_object(Bucket=self.name, Key=self.key(one["key"]))
        return {"key": one["key"]}

    def abort(self) -> Iterator[dict[str, Any]]:
        """End what killed runs have begun: such parts cost, and nobody sees them."""
        pages = self.client.get_paginator("list_multipart_uploads")
        for page in pages.paginate(Bucket=self.name, Prefix=self.prefix):
            for found in page.get("Uploads", ()):
                self.client.abort_multipart_upload(
                    Bucket=self.name, Key=found["Key"], UploadId=found["UploadId"]
                )
                yield {"key": found["Key"].removeprefix(self.prefix)}


def _client(request: dict[str, Any]) -> Any:
    keys: dict[str, str] = {}
    if request["access_key"]:
        keys["aws_access_key_id"] = _line(request["access_key"])
        keys["aws_secret_access_key"] = _line(request["secret_key"])
    return boto3.client(
        "s3",
        endpoint_url=request["endpoint"] or None,
        region_name=request["region"],
        verify=request["ca"] or None,
        config=Config(
            # a bucket as part of a host's name needs a DNS of its own
            s3={
                "addressing_style": "path" if request["endpoint"] else "auto",
                "payload_signing_enabled": True,  # a server takes no other body than that
            },
            request_checksum_calculation="when_required",  # other servers know no trailers
            response_checksum_validation="when_required",
            connect_timeout=10,
            read_timeout=60,
            retries={"total_max_attempts": 4, "mode": "standard"},
        ),
        **keys,
    )


def _line(path: str) -> str:
    return Path(path).read_text(encoding="utf-8").strip()


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode("ascii")


def _compare(told: dict[str, Any], body: bytes, key: str) -> None:
    """Raise AlteredError where the store tells of another content than was sent.

    The ETag is the MD5 of the body, unless the store encrypts by keys of its own (AWS's API
    reference, Object); the checksum is told by those that know it.
    """
    checksum = told.get("ChecksumSHA256")
    if checksum:
        good = checksum == _base64(hashlib.sha256(body).digest())
    else:
        etag = str(told.get("ETag", "")).strip('"')
        sealed = "kms" in str(told.get("ServerSideEncryption", "")) or "SSECustomerKeyMD5" in told
        md5 = hashlib.md5(body, usedforsecurity=False).hexdigest()
        good = sealed or not _MD5.match(etag) or etag == md5
    if not good:
        raise AlteredError(f"what the store has of {key} is not what was sent")


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _kind(error: BaseException) -> str:
    """Return the kind of an error, which decides on the hint."""
    if isinstance(error, AlteredError):
        return "altered"
    if isinstance(error, ClientError):
        code = _code(error)
        named = {"NoSuchBucket": "bucket", "NoSuchKey": "gone", "404": "bucket"}
        return "refused" if code in _REFUSED else named.get(code, "store")
    if isinstance(error, NoCredentialsError):
        return "refused"
    if isinstance(error, SSLError):
        return "certificate"
    if isinstance(error, BotoCoreError):
        return "unreachable"
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    return "full" if full else "file"


def main() -> int:
    """Do what the request asks for; return the exit status."""
    request: dict[str, Any] = json.load(sys.stdin)
    turn = Lock()

    def say(line: dict[str, Any]) -> None:
        with turn:
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()

    try:
        _do(Bucket(request), request, say)
    except (AlteredError, BotoCoreError, ClientError, OSError) as error:
        say({"failed": _kind(error), "words": " ".join(str(error).split())[:500]})
        return 1
    say({"done": True})
    return 0


def _do(bucket: Bucket, request: dict[str, Any], say: Callable[[dict[str, Any]], None]) -> None:
    objects: list[dict[str, Any]] = request["objects"]
    if request["do"] in ("listing", "abort"):
        found: Iterable[dict[str, Any]] = getattr(bucket, request["do"])()
        for line in found:
            say(line)
        return
    each: Callable[[dict[str, Any]], dict[str, Any]] = getattr(bucket, request["do"])
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        try:
            for line in pool.map(each, objects):
                say(line)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


if __name__ == "__main__":
    sys.exit(main())
