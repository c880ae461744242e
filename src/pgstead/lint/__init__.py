"""Lint: what a migration would break, before it runs. Revisions in, findings out; pure."""
