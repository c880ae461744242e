"""One manifest becomes a production-shaped PostgreSQL foundation, and proves it."""
