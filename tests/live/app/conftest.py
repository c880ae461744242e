"""A server by hand, and the service on it."""

from tests.live.scratch import api, scratch, service

__all__ = ["api", "scratch", "service"]
