"""Alembic's entry: hands the models of specgen to pgstead.app."""

from __future__ import annotations

from pgstead.app import migrations
from systems.specgen.models import Base

migrations.run(Base.metadata, prefix="SPECGEN_", database="specgen")
