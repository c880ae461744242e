"""A server by hand, and the service on it."""

from tests.live.service import api, scratch, service

__all__ = ["api", "scratch", "service"]
