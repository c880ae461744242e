"""The floor of HTTP: FastAPI, asyncpg and what a careful person writes by hand, nothing else.

Two handlers read the same project in the same scope: one sets the user by a statement of its own,
as most would; the other puts it into BEGIN, which is the least that can be sent.
`python bench/bare_service.py CONNECTION_FILE PORT`: served as `pgstead.serve` serves.
"""

from __future__ import annotations

import datetime as dt
import sys
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import asyncpg
import uvicorn
from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel

from pgstead.app.connection import read
from pgstead.app.target import Target
from pgstead.serve.logs import CONFIGURATION

SET = "SELECT set_config('app.current_user_id', $1, true)"
SELECT = (
    "SELECT id, name, status, current_step, language, created_by, created_at, updated_at"
    " FROM projects WHERE id = $1"
)


class Project(BaseModel):
    """What goes out; the same fields as the service's."""

    id: uuid.UUID
    created_at: dt.datetime
    updated_at: dt.datetime
    name: str
    status: str
    current_step: int
    language: str
    created_by: uuid.UUID


def create(connection_file: Path) -> FastAPI:
    """Make the application on a pool of as many connections as the service has."""
    file = read(connection_file)
    target = Target.from_file(file)
    arguments = target.driver_arguments("floor")
    arguments.pop("prepared_statement_cache_size", None)
    pools: list[Any] = []

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        assert target.password is not None
        pool = await asyncpg.create_pool(
            host=target.host,
            port=target.port,
            user=target.user,
            password=target.password(),
            database=target.database,
            min_size=file.figures.size,
            max_size=file.figures.limit,
            reset=_keep,  # nothing outlives a transaction here, and a reset is a round trip
            **arguments,
        )
        pools.append(pool)
        yield
        await pool.close()

    app = FastAPI(lifespan=lifespan)

    @app.get("/projects/{project_id}")
    async def statement(
        project_id: uuid.UUID, x_user_id: Annotated[uuid.UUID, Header()]
    ) -> Project:
        async with pools[0].acquire() as connection, connection.transaction():
            await connection.execute(SET, str(x_user_id))
            row = await connection.fetchrow(SELECT, project_id)
        return _shown(row)

    @app.get("/in-begin/{project_id}")
    async def in_begin(project_id: uuid.UUID, x_user_id: Annotated[uuid.UUID, Header()]) -> Project:
        async with pools[0].acquire() as connection:
            await connection.execute(
                f"BEGIN; SELECT set_config('app.current_user_id', '{x_user_id}', true)"
            )
            try:
                row = await connection.fetchrow(SELECT, project_id)
            except BaseException:
                await connection.execute("ROLLBACK")
                raise
            await connection.execute("COMMIT")
        return _shown(row)

    return app


def _shown(row: Any) -> Project:
    if row is None:
        raise HTTPException(404)
    return Project(**row)


async def _keep(_connection: Any) -> None:
    return None


def main() -> None:
    """Serve with the settings of `pgstead.serve`."""
    config = uvicorn.Config(
        create(Path(sys.argv[1])),
        port=int(sys.argv[2]),
        log_config=CONFIGURATION,
        access_log=False,
        server_header=False,
        lifespan="on",
        loop="asyncio",
        http="h11",
        ws="none",
    )
    uvicorn.Server(config).run()


if __name__ == "__main__":
    main()
