"""The JSON Schema of the manifest, for editors and for people."""

from __future__ import annotations

from typing import Any

from pgstead.manifest.document import Manifest


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema, with the descriptions of every key."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Manifest.model_json_schema(),
        "title": "pgstead.toml",
    }
