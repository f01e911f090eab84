"""What a caller without the right credential is told to get: the WWW-Authenticate header (RFC 6750), and the metadata
by which an MCP client finds the identity provider (RFC 9728)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from registry.scope import Scope

WELL_KNOWN = "/.well-known/oauth-protected-resource"


@dataclass(frozen=True, slots=True)
class Resource:
    """This server as its identity provider knows it: its public address (of /mcp), who issues tokens for it, and how
    they call our scopes."""

    url: str
    issuer: str
    scopes: Mapping[Scope, str]

    def metadata(self) -> bytes:
        """The document of RFC 9728."""
        said = {
            "resource": self.url,
            "authorization_servers": [self.issuer],
            "scopes_supported": list(self.scopes.values()),
            "bearer_methods_supported": ["header"],
            "resource_name": "Barograph",
        }
        return json.dumps(said).encode()

    def metadata_url(self) -> str:
        """Where the document is: the well-known path goes between the host and the path of the resource."""
        at = urlsplit(self.url)
        return f"{at.scheme}://{at.netloc}{WELL_KNOWN}{at.path.rstrip('/')}"


@dataclass(frozen=True, slots=True)
class Challenge:
    """Makes the header. Without a resource there is no identity provider: keys are all that is accepted."""

    resource: Resource | None = None

    def missing(self) -> str:
        """Nothing was shown."""
        return self._header(None, Scope.READ)

    def invalid(self) -> str:
        """What was shown is not good, or not any more."""
        return self._header("invalid_token", Scope.READ)

    def insufficient(self, needed: Scope) -> str:
        """What was shown is good, and does not go so far."""
        return self._header("insufficient_scope", needed)

    def _header(self, error: str | None, needed: Scope) -> str:
        parts = [f'error="{error}"'] if error else []
        scope = self.resource.scopes.get(needed, needed.value) if self.resource else needed.value
        parts.append(f'scope="{scope}"')
        if self.resource:
            parts.append(f'resource_metadata="{self.resource.metadata_url()}"')
        return f"Bearer {', '.join(parts)}"
