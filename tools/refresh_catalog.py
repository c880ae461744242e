"""Write the catalogue of server settings from real servers.

usage: python tools/refresh_catalog.py BINDIR [BINDIR ...]

Each BINDIR holds the binaries of one major version (initdb, postgres, psql). A throw-away
cluster is made, started on a Unix socket only, and its `pg_settings` become
`src/pgstead/catalog/data/settings-<major>.json`. As root the server runs as OS user `postgres`
(or `--user`), since PostgreSQL refuses to run as root.
"""

from __future__ import annotations

import argparse
import json
import os
import pwd
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import cast

DATA = Path(__file__).resolve().parent.parent / "src/pgstead/catalog/data"
LIBRARIES = ("auth_delay", "auto_explain", "passwordcheck", "pg_stat_statements")
QUERY = r"""
select json_build_object(
  'version', split_part(current_setting('server_version'), ' ', 1),
  'settings', json_object_agg(name, json_strip_nulls(json_build_object(
    'type', vartype, 'unit', unit, 'context', context, 'category', category,
    'min', min_val, 'max', max_val, 'enum', enumvals, 'default', boot_val, 'about', short_desc))
    order by name collate "C"))
from pg_settings
"""


def _as_server_user(user: str) -> list[str]:
    if os.geteuid() != 0:
        return []
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]


def _run(command: Sequence[str], directory: Path) -> str:
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    done = subprocess.run(
        command, cwd=directory, env=environment, text=True, capture_output=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def read_settings(bindir: Path, user: str) -> dict[str, object]:
    """Start a throw-away server of these binaries and return what `pg_settings` shows."""
    with tempfile.TemporaryDirectory(prefix="pgstead-catalog-") as name:
        directory = Path(name)
        drop = _as_server_user(user)
        if drop:
            account = pwd.getpwnam(user)
            os.chown(directory, account.pw_uid, account.pw_gid)
        data = str(directory / "data")
        _run(
            [
                *drop,
                str(bindir / "initdb"),
                "-D",
                data,
                "-U",
                "postgres",
                "-A",
                "trust",
                "--no-sync",
                "--encoding=UTF8",
                "--locale=C",
            ],
            directory,
        )
        options = (
            f"-c listen_addresses= -c unix_socket_directories={directory} -c port=5432 "
            f"-c shared_preload_libraries={','.join(LIBRARIES)}"
        )
        control = [*drop, str(bindir / "pg_ctl"), "-D", data, "-w"]
        _run([*control, "-o", options, "-l", str(directory / "log"), "start"], directory)
        try:
            answer = _run(
                [
                    *drop,
                    str(bindir / "psql"),
                    "-XAtq",
                    "-h",
                    name,
                    "-U",
                    "postgres",
                    "-d",
                    "postgres",
                    "-c",
                    QUERY,
                ],
                directory,
            )
        finally:
            _run([*control, "-m", "immediate", "stop"], directory)
    return json.loads(answer)


def neutral(told: dict[str, object], bindir: Path) -> dict[str, object]:
    """Take out what belongs to one machine: paths of the build and of the throw-away cluster."""
    settings = cast("dict[str, dict[str, object]]", told["settings"])
    prefix = str(bindir.parent)
    for spec in settings.values():
        default = spec.get("default")
        if isinstance(default, str) and (prefix in default or default.startswith("/")):
            spec["default"] = ""
    return told


def main() -> None:
    """Refresh the catalogue of every major version that is named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("bindirs", nargs="+", type=Path, metavar="BINDIR")
    parser.add_argument("--user", default="postgres", help="who runs the server, as root")
    arguments = parser.parse_args()
    for bindir in arguments.bindirs:
        told = neutral(read_settings(bindir.resolve(), arguments.user), bindir.resolve())
        found = re.match(r"\d+", str(told["version"]))
        assert found is not None
        target = DATA / f"settings-{found.group()}.json"
        target.write_text(json.dumps(told, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
        print(target)


if __name__ == "__main__":
    main()
