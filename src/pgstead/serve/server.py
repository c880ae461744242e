"""Serve an application with uvicorn; as root only until the socket is bound."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import pwd
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import uvicorn
from fastapi import FastAPI
from starlette.types import Message, Scope

from pgstead.app.environment import process_environment
from pgstead.errors import NoServerUserError, PortTakenError, UsageError
from pgstead.serve import privileges
from pgstead.serve.logs import CONFIGURATION

_log = logging.getLogger(__name__)

_REHEARSED = (
    "/health/live",
    "/health/ready",
    "/health/db",
    "/metrics",
    "/dashboard",
    "/no-such-path",
    "/docs",
)

Factory = Callable[[Mapping[str, str]], FastAPI]

# Imported by the standard library and by libraries when first used, so perhaps after root and
# with it the right to read the interpreter's files is gone. tests/live/serve finds new ones.
_LAZY = (
    "anyio._backends._asyncio",
    "asyncio.runners",
    "concurrent.futures.thread",
    "encodings.idna",
    "encodings.latin_1",
    "linecache",
    "stringprep",
    "traceback",
    "uvicorn.lifespan.on",
    "uvicorn.loops.asyncio",
    "uvicorn.loops.auto",
    "uvicorn.protocols.http.auto",
)


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for."""

    application: str
    host: str
    port: int
    connection: Path | None
    user: str | None
    access_log: bool = False


def run(options: Options) -> None:
    """Serve until SIGTERM or SIGINT; then finish requests and close every connection."""
    user = _user(options)
    application = load(options.application)(process_environment(options.connection))
    listener = bind(options.host, options.port)
    config = uvicorn.Config(
        application,
        log_config=CONFIGURATION,
        access_log=options.access_log,
        server_header=False,
        lifespan="on",
        timeout_graceful_shutdown=20,
        loop="asyncio",
        http="h11",
        ws="none",
    )
    config.load()
    if user is not None:
        import_everything(application)
        config.get_loop_factory()
        privileges.drop(user)
    _log.info("%s on http://%s:%d", options.application, options.host, options.port)
    uvicorn.Server(config).run(sockets=[listener])


def load(target: str) -> Factory:
    """Import `package.module:function`."""
    name, _, attribute = target.partition(":")
    try:
        factory = getattr(importlib.import_module(name), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(
            f"the application {target!r} cannot be loaded: {error}",
            hint="package.module:function, seen from the working directory",
        ) from error
    return cast("Factory", factory)


def bind(host: str, port: int) -> socket.socket:
    """Bind a listening socket. Raises PortTakenError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # with the protocol named, else asyncio leaves Nagle's algorithm on: 40 ms for each answer
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise PortTakenError(
            f"the service cannot listen on {host}:{port}: {error.strerror}",
            hint="stop what listens there, or choose another port",
        ) from error
    return listener


def import_everything(application: FastAPI) -> None:
    """Import what is imported when it is first used, by using it once."""
    for name in _LAZY:
        importlib.import_module(name)
    application.openapi()
    asyncio.run(_rehearse(application))


async def _rehearse(application: FastAPI) -> None:
    """Serve a few requests to nobody: an answer, errors, and one that asks the database."""
    told: asyncio.Queue[Message] = asyncio.Queue()
    asked: asyncio.Queue[Message] = asyncio.Queue()
    life: Scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    running = asyncio.create_task(application(life, told.get, asked.put))
    for event in ("lifespan.startup", "lifespan.shutdown"):
        await told.put({"type": event})
        if (await asked.get())["type"] != f"{event}.complete":
            break  # uvicorn will meet the same, and say it
        if event == "lifespan.startup":
            for path in _REHEARSED:
                await application(_scope(path), _nothing_to_receive, _nobody)
    await asyncio.wait({running})
    running.exception()


def _scope(path: str) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 0),
        "server": ("127.0.0.1", 0),
        "state": {},
    }


async def _nothing_to_receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _nobody(_message: Any) -> None:
    return None


def _user(options: Options) -> pwd.struct_passwd | None:
    """Return whom to become; root may not serve, and who is not root stays who they are."""
    if os.geteuid() == 0:
        if options.user is None:
            raise NoServerUserError(
                "the service does not run as root",
                hint="--user NAME: it binds its port, then becomes that user",
            )
        return privileges.account(options.user)
    if options.user is not None and pwd.getpwuid(os.geteuid()).pw_name != options.user:
        raise UsageError(
            f"only root can become {options.user!r}",
            hint=f"leave out --user, or run {sys.argv[0]} as root",
        )
    return None
