"""The files that `pgstead init --application` writes beside the manifest."""

from __future__ import annotations

from string import Template

_APPLICATION = '''\
"""The service of $name. `alembic revision --autogenerate -m ...` follows the models."""

from collections.abc import Mapping
from pathlib import Path

from fastapi import APIRouter, FastAPI
from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase

from pgstead.app import NAMING_CONVENTION, TYPES, Service


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map = TYPES


# class Note(TenantScoped, Row, Base):  # from pgstead.app, as all of this
#     __tablename__ = "notes"
#     __table_args__ = (Index(None, "tenant_id", "created_at"),)
#     text: Mapped[str]

router = APIRouter()


def create_app(environ: Mapping[str, str] | None = None) -> FastAPI:
    """Make the application: `uvicorn --factory app:create_app`."""
    service = Service("$name", Base.metadata, start=Path(__file__).parent)
    return service.create(router, environ)
'''

_ENV = '''\
"""Alembic's entry: hands the models to pgstead."""

from app import Base

from pgstead.app import migrations

migrations.run(Base.metadata, prefix="$prefix", database="$name")
'''

_INI = """\
# No URL here: it comes from ${prefix}DATABASE_URL_SYNC, or from the connection file that
# `pgstead up` writes. Run `alembic` in this directory.

[alembic]
script_location = migrations
prepend_sys_path = .
path_separator = os
file_template = %%(year)d%%(month).2d%%(day).2d_%%(rev)s_%%(slug)s
timezone = UTC

[loggers]
keys = root,alembic,plugins

[handlers]
keys = console

[formatters]
keys = plain

[logger_root]
level = WARNING
handlers = console
qualname =

[logger_alembic]
level = INFO
handlers =
qualname = alembic

[logger_plugins]
level = WARNING
handlers =
qualname = alembic.runtime.plugins

[handler_console]
class = StreamHandler
args = (sys.stderr,)
level = NOTSET
formatter = plain

[formatter_plain]
format = %(levelname)-5.5s [%(name)s] %(message)s
"""

_REVISION = '''\
"""${message}.

Revision ID: ${up_revision}
Revises: ${down_revision | comma,n}
Create Date: ${create_date}
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
'''


def files(name: str) -> dict[str, str]:
    """Return what an application on the database `name` begins with, by path."""
    given = {"name": name, "prefix": f"{name.upper()}_"}
    return {
        "app.py": Template(_APPLICATION).substitute(given),
        "alembic.ini": Template(_INI).substitute(given),
        "migrations/env.py": Template(_ENV).substitute(given),
        "migrations/script.py.mako": _REVISION,
        "migrations/versions/.gitkeep": "",
    }
