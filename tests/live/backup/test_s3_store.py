"""What is stored in a bucket is what was sent, and each failure says what to do."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pgstead.errors import MirrorError
from pgstead.host import processes
from pgstead.ports.mirror import Transfer
from tests.free_ports import free_ports
from tests.live.backup.s3 import BUCKET, ObjectServer, object_server, store
from tests.live.backup.test_full_disk import may_mount

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]
MB = 2**20


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectServer]:
    """Give a server with a bucket."""
    with object_server() as made:
        yield made


def transfer(directory: Path, name: str, size: int) -> Transfer:
    """Make a file of random bytes."""
    body = random.Random(name).randbytes(size)
    path = directory / name
    path.write_bytes(body)
    return Transfer(f"files/{name}", str(path), size, hashlib.sha256(body).hexdigest())


def moved(one: Transfer, place: Path) -> Transfer:
    """Return the same object, to be fetched elsewhere."""
    return Transfer(one.key, str(place), one.size, one.sha256)


def uploads(server: ObjectServer) -> list[str]:
    """Return the uploads in parts that nobody has ended."""
    told = server.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", ())
    return [found["UploadId"] for found in told]


def test_files_come_back_as_they_went_small_and_in_parts(
    server: ObjectServer, tmp_path: Path
) -> None:
    ours = store(server, tmp_path)
    sent = [transfer(tmp_path, "ä small one@1", 1000), transfer(tmp_path, "large", 40 * MB + 1)]
    etags = ours.put(sent)
    listed = ours.listing()
    assert {t.key: (listed[t.key].size, listed[t.key].etag) for t in sent} == {
        t.key: (t.size, etags[t.key]) for t in sent
    }
    assert ours.altered(sent) == {}
    back = [moved(t, tmp_path / "back" / f"{number}") for number, t in enumerate(sent)]
    ours.get(back)
    assert [Path(t.path).read_bytes() for t in back] == [Path(t.path).read_bytes() for t in sent]
    ours.delete([t.key for t in sent])
    assert not ours.listing().keys() & {t.key for t in sent}


def test_what_was_altered_or_is_gone_is_named_and_never_fetched(
    server: ObjectServer, tmp_path: Path
) -> None:
    ours = store(server, tmp_path)
    one, other = transfer(tmp_path, "altered", 5000), transfer(tmp_path, "gone", 10)
    ours.put([one, other])
    server.put(f"tried/{one.key}", b"something else")
    server.delete(f"tried/{other.key}")
    assert set(ours.altered([one, other])) == {one.key, other.key}
    target = tmp_path / "target"
    with pytest.raises(MirrorError) as told:
        ours.get([moved(one, target)])
    assert "verify --remote" in told.value.hint
    assert not target.exists()


def test_a_file_that_changes_while_it_is_read_is_not_stored(
    server: ObjectServer, tmp_path: Path
) -> None:
    ours = store(server, tmp_path)
    for size in (1000, 20 * MB):
        one = transfer(tmp_path, f"changing-{size}", size)
        with Path(one.path).open("r+b") as file:
            file.write(b"changed since")
        with pytest.raises(MirrorError, match="changed while it was read"):
            ours.put([one])
        assert one.key not in ours.listing()
    assert uploads(server) == []


def test_every_failure_says_what_to_do(server: ObjectServer, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    nowhere = ObjectServer(f"http://127.0.0.1:{port}")
    cases = {
        "backup.s3.bucket": store(server, tmp_path, bucket="not-there"),
        "backup.s3.endpoint": store(nowhere, tmp_path),
        "can be read": store(server, tmp_path, secret_key=str(tmp_path / "nothing")),
    }
    for hint, ours in cases.items():
        for ask in (ours.listing, lambda ours=ours: ours.write("index.json", "{}")):
            with pytest.raises(MirrorError) as told:
                ask()
            assert hint in told.value.hint, told.value


def test_a_wrong_key_is_told_apart_from_a_missing_bucket(
    server: ObjectServer, tmp_path: Path
) -> None:
    ours = store(server, tmp_path)
    server.check_accounts(wanted=True)
    try:
        with pytest.raises(MirrorError) as told:
            ours.listing()
    finally:
        server.check_accounts(wanted=False)
    assert "access_key_file" in told.value.hint
    assert "test-secret" not in f"{told.value} {told.value.hint}"


def test_a_secret_key_that_others_may_read_is_refused(server: ObjectServer, tmp_path: Path) -> None:
    ours = store(server, tmp_path)
    (tmp_path / "secret").chmod(0o644)
    with pytest.raises(MirrorError, match="others may read") as told:
        ours.listing()
    assert "chmod 600" in told.value.hint


def test_a_disk_that_is_full_is_told_and_nothing_half_fetched_is_there(
    server: ObjectServer, tmp_path: Path
) -> None:
    if not may_mount():
        pytest.skip("nothing may be mounted here")
    one = transfer(tmp_path, "too-large", 3 * MB)
    store(server, tmp_path).put([one])
    small, wrapper = tmp_path / "small", tmp_path / "python"
    small.mkdir()
    inner = f'mount -t tmpfs -o size=1m none {small} && exec {sys.executable} "$@"'
    wrapper.write_text(f"#!/bin/sh\nexec unshare --mount sh -c '{inner}' sh \"$@\"\n")
    wrapper.chmod(0o755)
    with pytest.raises(MirrorError) as told:
        store(server, tmp_path, python=str(wrapper)).get([moved(one, small / "target")])
    assert "make room" in told.value.hint


def test_an_upload_that_is_killed_leaves_no_object_and_its_parts_go_with_the_next_run(
    server: ObjectServer, tmp_path: Path
) -> None:
    ours = store(server, tmp_path)
    one = transfer(tmp_path, "killed", 150 * MB)
    failed: list[str] = []

    def put() -> None:
        with suppress(MirrorError):
            ours.put([one])
            return
        failed.append(one.key)

    thread = threading.Thread(target=put)
    thread.start()
    while not uploads(server):
        time.sleep(0.02)
    (child,) = [p.pid for p in processes.everyone() if p.parent == os.getpid() and _speaks(p.pid)]
    os.kill(child, signal.SIGKILL)
    thread.join(60)
    assert failed
    assert one.key not in ours.listing()
    assert ours.abort() == 1
    assert uploads(server) == []


def _speaks(pid: int) -> bool:
    return any(part.endswith("s3_program.py") for part in processes.arguments(pid))


def test_no_secret_is_in_arguments_or_environment_of_what_speaks_s3(
    server: ObjectServer, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    wrapper = tmp_path / "python"
    wrapper.write_text(
        f'#!/bin/sh\n{{ echo "$@"; env; }} > "{seen}"\nexec "{sys.executable}" "$@"\n'
    )
    wrapper.chmod(0o755)
    store(server, tmp_path, python=str(wrapper)).listing()
    assert "test-secret" not in seen.read_text()
    assert "test-access" not in seen.read_text()
