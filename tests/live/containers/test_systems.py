"""Each system by its own manifest in containers: healthy, answering, proven."""

from __future__ import annotations

import json
import re
import shutil
import urllib.request
from pathlib import Path

import pytest

from tests.fix_stead import CHECKOUT, LiveStead, free_ports, workplace
from tests.live.containers.contained import IMAGES, Contained
from tests.live.service import SYSTEMS, System


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.name)
def test_a_system_by_its_own_manifest_is_healthy_answers_and_keeps_its_promises(
    system: System,
) -> None:
    with workplace() as place:
        left_out = shutil.ignore_patterns("__pycache__", ".pgstead", "containers")
        shutil.copytree(CHECKOUT / "systems", place / "systems", ignore=left_out)
        contained = Contained(_changed(place, system))
        try:
            contained.run("up")
            contained.wait_until_healthy()
            contained.wait_for_api()
            url = f"http://127.0.0.1:{contained.stead.api_port}/health"
            with urllib.request.urlopen(url, timeout=10) as answer:
                assert json.load(answer)["status"] == "healthy"
            assert contained.broken() == []
        finally:
            contained.compose("down", "--volumes", "--timeout", "20", check=False)


def _changed(place: Path, system: System) -> LiveStead:
    """Change ports, name and images of a system's manifest, and nothing else."""
    manifest = place / "systems" / system.name / "pgstead.toml"
    ports = free_ports(3)
    told = iter(ports)
    text = re.sub(r"(?m)^port = \d+", lambda _: f"port = {next(told)}", manifest.read_text())
    text = re.sub(r'(?m)^name = "[^"]+"', 'name = "test-system"', text, count=1)
    text = text.replace("[server]\n", '[server]\nmemory = "4GB"\n', 1)
    text = re.sub(r"(?ms)^\[containers\].*?(?=^\[|\Z)", "", text)
    images = IMAGES.format(requirements=CHECKOUT / "requirements.lock", network="10.213.57.0/24")
    manifest.write_text(text + images)
    return LiveStead(manifest.parent, ports[0], ports[1], ports[2])
