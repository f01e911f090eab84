"""Barograph: instruments for LLM trading agents. This is the only name that the wheel puts on the import path."""

__version__ = "0.1.0"
