"""Keys of the operator and of tenants, and clients that send them."""

from __future__ import annotations

import hashlib
from typing import Any

import httpx

from pgstead.app import tokens
from tests.live.service import Running

OPERATOR = tokens.new("aiaop", "test").text
DIGEST = hashlib.sha256(OPERATOR.encode()).hexdigest()


def client_of(service: Running, key: str) -> httpx.Client:
    """Return a client that sends a key."""
    return httpx.Client(
        base_url=service.client.base_url, headers={"Authorization": f"Bearer {key}"}, timeout=30
    )


def tenant_body(tenant_id: str) -> dict[str, Any]:
    """Return what creates a tenant."""
    return {
        "tenant_id": tenant_id,
        "name": "A tenant",
        "servicedesk_url": "https://desk.example.com",
        "servicedesk_api_key": "canary-key-of-the-desk",
        "webhook_signing_secret": "canary-secret-of-the-hook",
    }
