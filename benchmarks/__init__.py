"""Measurements: what is fitted, how good the answers are, how fast, and what survives a kill. Each runs by its name."""
