"""All systems by one manifest, and each by its own, in containers: healthy, answering, proven."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
import urllib.request
from pathlib import Path

import pytest

from tests.fix_stead import CHECKOUT, LiveStead, workplace
from tests.free_ports import free_ports
from tests.live.containers.contained import IMAGES, Contained
from tests.live.service import SYSTEMS

MANIFESTS = (".", *(f"systems/{system.name}" for system in SYSTEMS))


@pytest.mark.parametrize("where", MANIFESTS)
def test_a_manifest_of_ours_is_healthy_answers_and_keeps_its_promises(where: str) -> None:
    with workplace() as place:
        left_out = shutil.ignore_patterns("__pycache__", ".pgstead", "containers")
        shutil.copytree(CHECKOUT / "systems", place / "systems", ignore=left_out)
        shutil.copy(CHECKOUT / "pgstead.toml", place)
        stead, services = _changed(place / where / "pgstead.toml")
        contained = Contained(stead)
        try:
            contained.run("up")
            contained.wait_until_healthy()
            contained.wait_for_api()
            assert [_health(port) for port in services] == ["healthy"] * len(services)
            named = "\nfiles = " in stead.manifest.read_text()
            assert _files_are_shared(contained) == named
            assert contained.broken() == []
        finally:
            contained.compose("down", "--volumes", "--timeout", "20", check=False)


def _health(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=10) as answer:
        return json.load(answer)["status"]


def _files_are_shared(contained: Contained) -> bool:
    """Have the service write a file that a row might name; who removes it sees it."""
    services = json.loads(contained.compose("config", "--format", "json"))["services"]
    found = (
        (name, mount["target"])
        for name, told in services.items()
        for mount in told["volumes"]
        if name.startswith("api-") and mount["source"].startswith("files-")
    )
    api, place = next(found, ("", ""))
    if not api:
        return False
    write, read = (
        f"umask 077; echo hers >{place}/one.csv",
        f"stat -c %a {place}; cat {place}/one.csv",
    )
    contained.compose("exec", "-T", api, "sh", "-c", write)
    told = contained.compose("exec", "-T", "agent", "sh", "-c", read)
    return told.split() == [b"700", b"hers"]


# Debian's newest has one major version. For another, an image of ours stands for the official one:
# Debian's stable has 17, and what is taken of PGDG's packages there comes from the newest here.
NEWEST = 18
_BASE = "docker.io/library/debian:trixie-slim"
_OFFICIAL = "localhost/pgstead-tests-postgres:{major}"
_BUILT = f"""\
FROM {_BASE}
RUN groupadd --gid 999 postgres && \\
 useradd --uid 999 --gid 999 --home-dir /var/lib/postgresql postgres && \\
 grep -rhs '^deb ' /etc/apt | sed 's/trixie/forky/' >/etc/apt/sources.list.d/newest.list && \\
 printf 'Package: *\\nPin: release n=forky\\nPin-Priority: 50\\n\\n' \\
  >/etc/apt/preferences.d/newest && \\
 printf 'Package: pgbouncer\\nPin: release n=forky\\nPin-Priority: 990\\n' \\
  >>/etc/apt/preferences.d/newest && \\
 apt-get update && apt-get install -y --no-install-recommends postgresql-common && \\
 echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf && \\
 apt-get install -y --no-install-recommends postgresql-{{major}}
ENTRYPOINT ["postgres"]
"""
_OTHERS = f"""
[containers]
requirements = "{{requirements}}"
python = "3.13"
network = "{{network}}"

[containers.image]
base = "{_BASE}"
server = "{_OFFICIAL}"
pooler = "{_OFFICIAL}"
"""


def _images(major: int) -> str:
    if major == NEWEST:
        return IMAGES
    with tempfile.TemporaryDirectory() as place:
        Path(place, "Dockerfile").write_text(_BUILT.format(major=major))
        words = ["docker", "build", "--tag", _OFFICIAL.format(major=major), place]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return _OTHERS.replace("{major}", str(major))


def _changed(manifest: Path) -> tuple[LiveStead, list[int]]:
    """Change ports, name and images of a manifest, and no more; return its services' ports too."""
    text = manifest.read_text()
    ports = free_ports(len(re.findall(r"(?m)^port = ", text)))
    free = iter(ports)
    text = re.sub(r"(?m)^port = \d+", lambda _: f"port = {next(free)}", text)
    text = re.sub(r'(?m)^name = "[^"]+"', 'name = "test-system"', text, count=1)
    text = text.replace("[server]\n", '[server]\nmemory = "4GB"\n', 1)
    text = re.sub(r"(?ms)^\[containers\].*?(?=^\[|\Z)", "", text)
    major = re.search(r"(?m)^major = (\d+)", text)
    assert major is not None
    told = _images(int(major[1]))
    images = told.format(requirements=CHECKOUT / "requirements.lock", network="10.213.57.0/24")
    manifest.write_text(text + images)
    return LiveStead(manifest.parent, ports[0], ports[1], ports[2]), ports[2:]
