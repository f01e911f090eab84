"""Exchanges as sources of bars, funding rates, open interest and books."""
