"""`migrate up` with nothing to do against bare `alembic upgrade head`, in one run.

    python bench/migrate.py [--rounds 20]

Both are whole processes on the same database, which is at its head; the bare one's env.py is that
of Alembic's own template. The aim is a ratio of 1.2 at most (issue 4).
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.live.migrate.project import Project
from tests.live.scratch import NASTY, running_server

LIMIT = 1.2
BARE = """\
import os

from alembic import context
from sqlalchemy import NullPool, create_engine

engine = create_engine(os.environ["BARE_URL"], poolclass=NullPool)
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=None)
    with context.begin_transaction():
        context.run_migrations()
"""


def main() -> None:
    """Print both, and the ratio."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=20)
    rounds = arguments.parse_args().rounds
    with running_server() as scratch, tempfile.TemporaryDirectory() as name:
        ours = Project(scratch, Path(name) / "ours", "bench")
        for number in range(20):
            ours.sql(f"aa{number:02}", f"CREATE TABLE t{number} (id bigint PRIMARY KEY)")
        ours.up()
        (scratch.folder / ".pgstead" / "run").mkdir()  # as `pgstead up` leaves one
        bare = Path(name) / "bare"
        (bare / "migrations").mkdir(parents=True)
        (bare / "migrations" / "versions").symlink_to(ours.versions)
        (bare / "migrations" / "env.py").write_text(BARE)
        (bare / "alembic.ini").write_text((ours.folder / "alembic.ini").read_text())
        url = (
            f"postgresql+psycopg://bench_migrator:{quote(NASTY, safe='')}@127.0.0.1:{scratch.port}"
            f"/bench?sslmode=verify-full&sslrootcert={quote(str(scratch.ca))}"
        )
        python = [sys.executable, "-m"]
        commands = {
            "bare alembic upgrade head": (bare, [*python, "alembic", "upgrade", "head"]),
            "alembic upgrade head": (ours.folder, [*python, "alembic", "upgrade", "head"]),
            "pgstead migrate up": (ours.folder, [*python, "pgstead", "migrate", "up", "-q"]),
        }
        environment = {
            **os.environ,
            "BARE_URL": url,
            "PGSTEAD_CONNECTION": str(ours.connection),
        }
        took: dict[str, list[float]] = {what: [] for what in commands}
        for _ in range(rounds):
            for what, (folder, command) in commands.items():
                began = time.perf_counter()
                subprocess.run(
                    command, cwd=folder, env=environment, check=True, capture_output=True
                )
                took[what].append(time.perf_counter() - began)
    floor = statistics.median(took["bare alembic upgrade head"])
    for what, times in took.items():
        median = statistics.median(times)
        print(f"{what:28} {1000 * median:6.0f} ms   {median / floor:.2f} x   (aim {LIMIT} x)")


if __name__ == "__main__":
    main()
