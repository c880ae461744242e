"""Adapters: the only place with effects. Everything here stands behind a Protocol of `ports`."""
