"""The desktop bundle: one file that Claude Desktop and others install with a click."""
