"""Alembic's entry: hands the models of ai_agents to pgstead.app."""

from __future__ import annotations

from pgstead.app import migrations
from systems.ai_agents.models import Base

migrations.run(Base.metadata, prefix="AI_AGENTS_", database="ai_agents")
