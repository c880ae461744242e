"""Routes of several routers in one flat list."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.routing import APIRoute


def add_routes(to: APIRouter, *routers: APIRouter) -> None:
    """Add the routes of routers to another one, which shares its `responses` with them.

    `include_router` says the same, but FastAPI keeps what is included as a tree, and searches
    each router of it twice for each search of the one above: that took longer than all the rest
    that FastAPI does for a read. What only a tree can say (a prefix of `to`, something mounted)
    is left to it.
    """
    for router in routers:
        flat = [route for route in router.routes if isinstance(route, APIRoute)]
        if len(flat) < len(router.routes) or _hands_down(to):
            to.include_router(router)
            continue
        for route in flat:
            route.responses = {**to.responses, **route.responses}
            to.routes.append(route)


def _hands_down(router: APIRouter) -> bool:
    """Say whether a router gives its routes more than `responses`."""
    given = (router.prefix, router.tags, router.dependencies, router.callbacks, router.deprecated)
    return any(given) or not router.include_in_schema
