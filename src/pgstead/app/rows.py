"""The row that the HTTP layer works with: it has a key and both stamps."""

from __future__ import annotations

from pgstead.app.models import Keyed, Stamped


class Row(Keyed, Stamped):
    """A mixin for tables: `id`, `created_at`, `updated_at`, which is the row's version."""
