"""Alembic's entry: hands the models of jeex_idea to pgstead.app."""

from __future__ import annotations

from pgstead.app import migrations
from systems.jeex_idea.models import Base

migrations.run(Base.metadata, prefix="JEEX_", database="jeex_idea")
