"""What the user brings, and a store of backups beside: certificates, a passphrase, keys.

No registry is in reach where this runs: a program of the name of Versity's gateway, over moto,
stands for it in an image of the tests' own. It takes the same options and is told its keys the
same way, and checks neither signatures nor sums.
"""

from __future__ import annotations

import json
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.live.certify import certify
from tests.live.containers.contained import Contained, contained_stead

HOSTS = ("postgres.internal", "pgbouncer.internal", "store.internal", "api-jeex-idea.internal")
PASSPHRASE = "brought, and 32 characters or so long"
IMAGE = "localhost/pgstead-tests-store:1"
_BASE = "docker.io/library/debian:forky-slim"
_GATEWAY = """\
#!/bin/sh
# versitygw --port :PORT --cert FILE --key FILE --health /health --quiet posix DIRECTORY
test -n "$ROOT_ACCESS_KEY_ID" && test -n "$ROOT_SECRET_ACCESS_KEY" || exit 3
test -d "${11}/backups" && test -w "${11}/backups" || exit 4
export S3_IGNORE_SUBDOMAIN_BUCKETNAME=true HOME=/tmp AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x
exec python3 /usr/local/lib/gateway.py "${2#:}" "$4" "$6"
"""
_SERVER = """\
import sys
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple
import boto3, threading, time
from botocore.config import Config
port, cert, key = int(sys.argv[1]), *sys.argv[2:]
def bucket():
    while True:
        time.sleep(0.5)
        try:
            return boto3.client(
                "s3", endpoint_url=f"https://127.0.0.1:{port}", verify=False,
                region_name="us-east-1",
            ).create_bucket(Bucket="backups")
        except Exception as error:
            print(error, flush=True)
threading.Thread(target=bucket, daemon=True).start()
inner = DomainDispatcherApplication(create_backend_app)
def application(environ, start):
    if environ["PATH_INFO"] == "/health":
        start("200 OK", []); return [b"ok"]
    return inner(environ, start)
run_simple("0.0.0.0", port, application, threaded=True, ssl_context=(cert, key))
"""


def _store_image(place: Path) -> None:
    (place / "versitygw").write_text(_GATEWAY)
    (place / "gateway.py").write_text(_SERVER)
    (place / "Dockerfile").write_text(
        f"FROM {_BASE}\n"
        "RUN apt-get update && apt-get install -y --no-install-recommends wget python3-moto"
        " python3-flask python3-flask-cors python3-boto3\n"
        "COPY gateway.py /usr/local/lib/gateway.py\n"
        "COPY --chmod=0755 versitygw /usr/local/bin/versitygw\n"
    )
    words = ["docker", "build", "--tag", IMAGE, str(place)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


BROUGHT = f"""
[containers]
store = true
requirements = "{{requirements}}"
python = "3.14"
network = "{{network}}"

[containers.image]
base = "{_BASE}"
server = "base"
store = "{IMAGE}"

[tls]
ca = "own/ca.crt"
certificate = "own/server.crt"
key = "own/server.key"
"""


@pytest.fixture(scope="module", name="brought")
def _brought(_engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Contained]:
    _store_image(tmp_path_factory.mktemp("store"))
    backup = 'true\npassphrase_file = "own/passphrase"\n'
    with contained_stead("test-brought", part=58, images=BROUGHT, backup=backup) as found:
        own = found.stead.directory / "own"
        own.mkdir()
        certify(own, own, hosts=HOSTS)
        (own / "passphrase").write_text(f"{PASSPHRASE}\n")
        (own / "passphrase").chmod(0o600)
        found.run("up")
        found.wait_until_healthy()
        yield found


def _shown(found: Contained, port: int) -> str:
    """Return the certificate that a door shows, as clients verify it."""
    ca = found.stead.directory / "own" / "ca.crt"
    door = found.door
    with psycopg.connect(
        host="localhost", port=port, user="jeex_user", dbname="jeex_idea",
        password=door.password("jeex_user"), sslmode="verify-full", sslrootcert=str(ca),
    ) as connection:  # fmt: skip
        connection.execute("SELECT 1")
    words = ["openssl", "s_client", "-starttls", "postgres", "-connect", f"127.0.0.1:{port}"]
    told = subprocess.run(words, input=b"", capture_output=True, check=False).stdout.decode()
    begin, end = told.index("-----BEGIN"), told.index("-----END CERTIFICATE-----")
    return ssl.PEM_cert_to_DER_cert(told[begin:end] + "-----END CERTIFICATE-----").hex()


def _brings(found: Contained) -> str:
    text = (found.stead.directory / "own" / "server.crt").read_text()
    return ssl.PEM_cert_to_DER_cert(text).hex()


def test_both_doors_show_the_certificate_that_was_brought(brought: Contained) -> None:
    for port in (brought.stead.direct_port, brought.stead.pooler_port):
        assert _shown(brought, port) == _brings(brought)


def test_another_certificate_is_shown_after_up_and_nothing_is_restarted(
    brought: Contained,
) -> None:
    own = brought.stead.directory / "own"
    before = {row["Service"]: row["ID"] for row in brought.rows()}
    began = brought.inspected("postgres")["State"]["StartedAt"]
    certify(own, own, hosts=HOSTS)
    brought.run("up")
    brought.wait_until_healthy()
    for port in (brought.stead.direct_port, brought.stead.pooler_port):
        assert _shown(brought, port) == _brings(brought)
    after = {row["Service"]: row["ID"] for row in brought.rows()}
    assert {n: after[n] for n in ("postgres", "pgbouncer")} == {
        n: before[n] for n in ("postgres", "pgbouncer")
    }
    assert brought.inspected("postgres")["State"]["StartedAt"] == began


def test_what_was_brought_is_in_no_image_and_nowhere_in_the_directory(brought: Contained) -> None:
    own = brought.stead.directory / "own"
    lines = (own / "server.key").read_bytes().splitlines()
    secrets = [PASSPHRASE.encode(), lines[1]]
    told = brought.compose("logs", "--no-color") + brought.compose("config")
    for name in brought.names().values():
        told += subprocess.run(["docker", "inspect", name], capture_output=True, check=True).stdout
    for path in brought.directory.rglob("*"):
        if path.is_file() and "wheels" not in path.parts:
            told += path.read_bytes()
    listed = brought.compose("run", "--rm", "-T", "--no-deps", "--entrypoint", "env", "agent")
    assert len(told) > 100_000
    assert not [index for index, secret in enumerate(secrets) if secret in told + listed]


def test_a_file_that_is_gone_is_named_before_anything_is_touched(brought: Contained) -> None:
    key = brought.stead.directory / "own" / "server.key"
    text, before = key.read_bytes(), {r["Service"]: r["ID"] for r in brought.rows()}
    key.unlink()
    try:
        said = brought.run("up", status=1).stderr
    finally:
        key.write_bytes(text)
        key.chmod(0o600)
    assert "tls.key" in said
    assert {r["Service"]: r["ID"] for r in brought.rows()} == before


def test_a_store_beside_holds_the_copy_and_is_proven(brought: Contained) -> None:
    assert brought.health()["store"] == "healthy"
    brought.run("backup", "now", "--verify")
    assert brought.json("backup", "mirror")["objects"] > 0
    brought.run("backup", "verify", "--remote")
    told = json.loads(brought.run("prove", "BAK-020", "BAK-021", "--json").stdout)
    assert {p["code"]: p["verdict"] for p in told["promises"]} == {
        "BAK-020": "kept",
        "BAK-021": "kept",
    }


def test_nobody_is_told_the_keys_of_the_store(brought: Contained) -> None:
    words = ("exec", "-T", "agent", "cat", "/var/lib/pgstead/secrets/store-secret-key")
    secret = brought.compose(*words).strip()
    assert len(secret) > 20
    told = subprocess.run(
        ["docker", "inspect", brought.names()["store"]], capture_output=True, check=True
    ).stdout
    told += brought.compose("logs", "--no-color", "store")
    told += brought.compose("exec", "-T", "store", "env")
    assert secret not in told
    assert brought.inspected("store")["HostConfig"]["PortBindings"] in (None, {})
