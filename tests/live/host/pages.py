"""What the pages about hosts tell to type, for a host that was booted."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.fix_stead import CHECKOUT
from tests.live.host.booted import Host

BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str) -> list[str]:
    """Return the commands of a page, block by block."""
    return BLOCK.findall((CHECKOUT / "docs/how-to" / page).read_text())


def command(host: Host) -> None:
    """Put `pgstead` where a shell finds it; the distribution's own server makes room."""
    host.shell(
        f"""printf '#!/bin/sh\\nexec {sys.executable} -m pgstead "$@"\\n' > /usr/local/bin/pgstead
        chmod 755 /usr/local/bin/pgstead
        systemctl disable --quiet --now postgresql || true"""
    )


def major() -> int:
    """Return the major version that the distribution has."""
    found = [int(p.name) for p in Path("/usr/lib/postgresql").glob("*") if p.name.isdigit()]
    return max(found, default=18)
