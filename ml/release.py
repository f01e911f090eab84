"""What the United States publish on days that everybody knows before. Light: the config reads it as well."""

from __future__ import annotations

from enum import StrEnum


class Release(StrEnum):
    """Consumer prices, employment, and the decision of the Federal Open Market Committee."""

    INFLATION = "inflation"
    PAYROLLS = "payrolls"
    FED = "fed"
