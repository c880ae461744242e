"""The floor of HTTP: FastAPI, asyncpg and what a careful person writes by hand, nothing else.

Two handlers read the same project in the same scope: one sets the user by a statement of its own,
as most would; the other puts it into BEGIN, which is the least that can be sent. A third one has
SQLAlchemy in place of asyncpg, and nothing of pgstead: what of the cost is SQLAlchemy's own.
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
from pydantic import BaseModel, ConfigDict
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine

from pgstead.app.connection import Figures, read
from pgstead.app.target import Target
from pgstead.serve.logs import CONFIGURATION
from systems.jeex_idea import models

SET = "SELECT set_config('app.current_user_id', $1, true)"
SELECT = (
    "SELECT id, name, status, current_step, language, created_by, created_at, updated_at"
    " FROM projects WHERE id = $1"
)

User = Annotated[uuid.UUID, Header()]


class Project(BaseModel):
    """What goes out; the same fields as the service's."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    created_at: dt.datetime
    updated_at: dt.datetime
    name: str
    status: str
    current_step: int
    language: str
    created_by: uuid.UUID


def create(connection_file: Path) -> FastAPI:
    """Make the application on pools of as many connections as the service has."""
    file = read(connection_file)
    target = Target.from_file(file)
    engine = create_async_engine(
        target.url.set(password=_password(target)),
        connect_args=target.driver_arguments("floor"),
        pool_size=file.figures.limit,
    )
    pools: list[Any] = []

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        pools.append(await _pool(target, file.figures))
        yield
        await pools[0].close()
        await engine.dispose()

    app = FastAPI(lifespan=lifespan)
    _add_asyncpg(app, pools)
    _add_sqlalchemy(app, engine)
    return app


async def _pool(target: Target, figures: Figures) -> Any:
    arguments = target.driver_arguments("floor")
    arguments.pop("prepared_statement_cache_size", None)
    return await asyncpg.create_pool(
        host=target.host,
        port=target.port,
        user=target.user,
        password=_password(target),
        database=target.database,
        min_size=figures.size,
        max_size=figures.limit,
        reset=_keep,  # nothing outlives a transaction here, and a reset is a round trip
        **arguments,
    )


def _add_asyncpg(app: FastAPI, pools: list[Any]) -> None:
    @app.get("/projects/{project_id}")
    async def statement(project_id: uuid.UUID, x_user_id: User) -> Project:
        async with pools[0].acquire() as connection, connection.transaction():
            await connection.execute(SET, str(x_user_id))
            row = await connection.fetchrow(SELECT, project_id)
        return _shown(row)

    @app.get("/in-begin/{project_id}")
    async def in_begin(project_id: uuid.UUID, x_user_id: User) -> Project:
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


def _add_sqlalchemy(app: FastAPI, engine: AsyncEngine) -> None:
    sessions = async_sessionmaker(engine, expire_on_commit=False)

    @app.get("/sqlalchemy/{project_id}")
    async def sqlalchemy(project_id: uuid.UUID, x_user_id: User) -> Project:
        async with sessions.begin() as session:
            await session.execute(text(SET.replace("$1", ":user")), {"user": str(x_user_id)})
            row = await session.get(models.Project, project_id)
        if row is None:
            raise HTTPException(404)
        return Project.model_validate(row)


def _password(target: Target) -> str:
    assert target.password is not None
    return target.password()


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
