"""One process of an application: many concurrent sessions with the engine that pgstead.app makes.

Started by test_sessions.py, several at once, so that they really share server connections.
Each query has its own text, so a mixed-up statement shows as a wrong value, not only as an error.
Prints `running` when a third is done, and at the end one JSON object: how often what happened.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
import sys
from collections import Counter
from pathlib import Path

from sqlalchemy import text

from pgstead.app.engine import Database
from pgstead.app.environment import settings
from pgstead.app.target import Driver

# 0x3F800000, the bit pattern of 1.0: a value decoded as its former type is seen at once.
TELLING = 1065353216


async def transaction(database: Database, outcome: Counter[str]) -> None:
    """Ask three questions and the table whose type changes under way."""
    async with database.sessions() as session:
        for _ in range(3):
            which, given = random.randrange(12), random.randrange(1000)
            row = (
                await session.execute(
                    text(f"SELECT {which} AS which, CAST(:given AS int) AS given"),
                    {"given": given},
                )
            ).one()
            right = (row.which, row.given) == (which, given)
            outcome["right" if right else "WRONG"] += 1
        value = (await session.execute(text("SELECT v FROM telling WHERE id = 1"))).scalar_one()
        # psycopg reads a real as text, with seven digits; a former type is off by far more.
        outcome["right" if math.isclose(value, TELLING, rel_tol=1e-6) else "WRONG"] += 1
        outcome["before" if isinstance(value, int) else "after"] += 1
        await session.commit()


async def session_of(database: Database, rounds: int, outcome: Counter[str]) -> None:
    """Live for some rounds, and count errors by what they are."""
    for number in range(rounds):
        if number == rounds // 3 and not outcome["running"]:
            outcome["running"] = 1
            print("running", flush=True)
        try:
            await transaction(database, outcome)
        except Exception as error:  # noqa: BLE001  counting them all is the point
            inner = getattr(error, "orig", None) or error
            name = f"{type(error).__name__}/{type(inner).__name__}"
            outcome[f"{name}/{getattr(inner, 'sqlstate', None)}: {str(inner)[:80]}"] += 1
        await asyncio.sleep(random.random() / 50)


async def main(connection: Path, driver: str, sessions: int, rounds: int) -> None:
    """Run the sessions together."""
    os.environ["PGSTEAD_CONNECTION"] = str(connection)
    database = Database(settings("jeex_idea", "JEEX_", driver=Driver(driver)))
    outcome: Counter[str] = Counter()
    await asyncio.gather(*(session_of(database, rounds, outcome) for _ in range(sessions)))
    await database.close()
    del outcome["running"]
    print(json.dumps(outcome))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
