"""What a caller may ask: the road to an answer, the envelope around it, and the two doors, MCP and HTTP."""
