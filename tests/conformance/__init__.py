"""Software that others wrote judges our MCP door."""
