"""Live -> found. Read-only by construction."""
