"""The routes of jeex_idea, one module per table."""
