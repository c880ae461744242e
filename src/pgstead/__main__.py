"""`python -m pgstead`."""

from pgstead.cli.main import run

run()
