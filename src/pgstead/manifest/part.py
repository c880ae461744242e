"""A table of the manifest."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A table of the manifest."""

    model_config = ConfigDict(extra="forbid", frozen=True)
