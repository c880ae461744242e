"""The adapters: the only place with effects."""
