"""Plan -> effects."""
