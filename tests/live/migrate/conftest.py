"""A server for the tests of migrations."""

from tests.live.service import scratch

__all__ = ["scratch"]
