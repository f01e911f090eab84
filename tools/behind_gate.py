"""The MCP library behind our gate: its own checks of Host and Origin are off, for the gate has made them for both
doors; and a session is bound to whoever opened it."""

from __future__ import annotations

from functools import lru_cache

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.transport_security import TransportSecuritySettings

from tools.principal import Principal

#: The gate has looked.
CHECKED = TransportSecuritySettings(enable_dns_rebinding_protection=False)


@lru_cache(maxsize=1_024)
def as_user(principal: Principal) -> AuthenticatedUser:
    """The principal as the library compares owners of sessions; it never sees a credential."""
    return AuthenticatedUser(AccessToken(token="", client_id=principal.id, scopes=sorted(principal.scopes)))
