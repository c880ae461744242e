"""A stead of an older version in containers, on a base that has the binaries of both."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.live.containers.contained import IMAGES, Contained

OLD, NEW = 17, 18
BASE = "localhost/pgstead-tests-both:1"
ON_BOTH = IMAGES.replace("docker.io/library/debian:forky-slim", BASE)
# Debian's newest has one version. The one before has the other, of which nothing else is taken.
_BOTH = """\
FROM docker.io/library/debian:forky-slim
RUN grep -rhs '^deb ' /etc/apt | sed 's/forky/trixie/' >/etc/apt/sources.list.d/older.list && \
 printf 'Package: *\\nPin: release n=trixie\\nPin-Priority: 50\\n' >/etc/apt/preferences.d/older
"""


def build_base(place: Path) -> None:
    """Build the base; `place` is a directory for its Dockerfile."""
    (place / "Dockerfile").write_text(_BOTH)
    words = ["docker", "build", "--tag", BASE, str(place)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def ask_for(contained: Contained, major: int) -> None:
    """Name a version in the manifest."""
    text = contained.stead.manifest.read_text()
    contained.stead.manifest.write_text(re.sub(r"(?m)^major = \d+$", f"major = {major}", text))


def version(contained: Contained) -> int:
    """Return the major version that serves."""
    return int(contained.ask("postgres", "SHOW server_version_num")) // 10000
