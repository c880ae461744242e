"""`python -m pgstead.serve`: the HTTP service of a system."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pgstead.errors import SteadError
from pgstead.serve.server import Options, run


def _options() -> Options:
    parser = argparse.ArgumentParser(prog="python -m pgstead.serve", description=__doc__)
    parser.add_argument("--application", required=True, metavar="MODULE:FACTORY")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--connection", type=Path, metavar="FILE", help="default: looked for")
    parser.add_argument("--user", metavar="NAME", help="as root: whom to become before serving")
    parser.add_argument("--access-log", action="store_true", help="log every request")
    return Options(**vars(parser.parse_args()))


def main() -> int:
    """Serve; a failure is told in two lines, not in a traceback."""
    try:
        run(_options())
    except SteadError as error:
        sys.stderr.write(f"error: {error.message}\n")
        if error.hint:
            sys.stderr.write(f"hint: {error.hint}\n")
        return int(error.exit_status)
    return 0


if __name__ == "__main__":
    sys.exit(main())
