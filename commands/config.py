"""What an operator may set, with its defaults. `config.yaml` at the top of the repository explains it line by line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from commands.access_config import Access, Http, Limits
from commands.feeds_config import Feeds
from market.staleness import DEFAULT_STALENESS, Staleness
from ml.release import Release
from ml.symbol import Symbol
from ml.timeframe import Timeframe


class BadConfig(Exception):  # noqa: N818 - told to the operator as it is
    """The config file cannot be used: which line of it, and what would be accepted."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StalenessLimits(_Section):
    stale_after_bars: Annotated[int, Field(ge=1)]
    too_old_after_bars: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _in_order(self) -> StalenessLimits:
        if self.stale_after_bars > self.too_old_after_bars:
            raise ValueError("stale_after_bars must be at most too_old_after_bars")
        return self


_STALENESS = {
    timeframe: StalenessLimits(stale_after_bars=one.stale_after_bars, too_old_after_bars=one.too_old_after_bars)
    for timeframe, one in DEFAULT_STALENESS.items()
}


class Answers(_Section):
    deadline_ms: Annotated[int, Field(ge=1)] = 150
    remembered: Annotated[int, Field(ge=1)] = 4_096
    staleness: Mapping[Timeframe, StalenessLimits] = _STALENESS

    @field_validator("staleness")
    @classmethod
    def _all_timeframes(cls, said: Mapping[Timeframe, StalenessLimits]) -> Mapping[Timeframe, StalenessLimits]:
        return {**_STALENESS, **said}

    def limits(self) -> Mapping[Timeframe, Staleness]:
        """The same in the market's own words."""
        return {
            timeframe: Staleness(one.stale_after_bars, one.too_old_after_bars)
            for timeframe, one in self.staleness.items()
        }


class Ledger(_Section):
    flush_ms: Annotated[int, Field(ge=1, le=10_000)] = 50
    capacity: Annotated[int, Field(ge=1)] = 10_000


class Audit(_Section):
    kept_days: Annotated[int, Field(ge=1)] | None = 90


class ScheduledRelease(_Section):
    release: Release
    at: AwareDatetime
    known_from: AwareDatetime

    @model_validator(mode="after")
    def _ahead(self) -> ScheduledRelease:
        if self.known_from >= self.at:
            raise ValueError(f"known_from ({self.known_from}) must be before the release itself ({self.at})")
        return self


class Market(_Section):
    sample: bool = False
    panel: tuple[Symbol, ...] = ()
    calendar: tuple[ScheduledRelease, ...] = ()


class Features(_Section):
    symbols: tuple[Symbol, ...] | None = None
    timeframes: frozenset[Timeframe] = frozenset({Timeframe.H1, Timeframe.D1})


_TOO_OLD_DAYS = {"anomaly": 21, "liquidity": 62, "regime": 21, "volatility": 62}


class Models(_Section):
    train: bool = True
    too_old_days: Mapping[str, Annotated[int, Field(ge=1)]] = _TOO_OLD_DAYS
    replay_past_days: Annotated[int, Field(ge=0)] = 365
    replay_past_every_hours: Annotated[int, Field(ge=1)] = 25
    replay_past_answers: Annotated[int, Field(ge=1)] = 20_000
    walk_forward_refit_days: Annotated[int, Field(ge=7, le=364)] = 91
    train_most_seconds: Annotated[int, Field(ge=60)] = 7_200

    @field_validator("too_old_days")
    @classmethod
    def _all_capabilities(cls, said: Mapping[str, int]) -> Mapping[str, int]:
        return {**_TOO_OLD_DAYS, **said}

    def too_old(self, capability: str) -> int:
        """The limit of a capability, in days; of one without a limit of its own, the longest there is."""
        return self.too_old_days.get(capability, max(self.too_old_days.values()))


_RETRAIN_DAYS = {"anomaly": 7, "liquidity": 30, "regime": 7, "volatility": 30}


class Schedule(_Section):
    refresh_seconds: Annotated[int, Field(ge=1)] = 60
    settle_seconds: Annotated[int, Field(ge=10)] = 300
    features_seconds: Annotated[int, Field(ge=60)] = 3_600
    feature_statistics_seconds: Annotated[int, Field(ge=60)] = 86_400
    past_seconds: Annotated[int, Field(ge=60)] = 3_600
    sweep_seconds: Annotated[int, Field(ge=3_600)] = 86_400
    retrain_days: Mapping[str, Annotated[int, Field(ge=1)]] = _RETRAIN_DAYS

    @field_validator("retrain_days")
    @classmethod
    def _all_capabilities(cls, said: Mapping[str, int]) -> Mapping[str, int]:
        return {**_RETRAIN_DAYS, **said}

    def retrain_every(self, capability: str) -> int:
        """Days between two trainings of a capability; of one that is not named, the longest there are."""
        return self.retrain_days.get(capability, max(self.retrain_days.values()))


class Config(_Section):
    """Everything that can be set. A key that is not here is refused, with the name of its section."""

    data: str | None = None
    tenant: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,32}$")] = "local"
    log_level: Annotated[str, Field(pattern="^(debug|info|warning|error)$")] = "info"
    http: Http = Http()
    access: Access = Access()
    limits: Limits = Limits()
    answers: Answers = Answers()
    ledger: Ledger = Ledger()
    audit: Audit = Audit()
    market: Market = Market()
    feeds: Feeds = Feeds()
    features: Features = Features()
    models: Models = Models()
    schedule: Schedule = Schedule()


def load(path: Path | None, overrides: Mapping[str, Any] | None = None) -> Config:
    """The config of a file (or the defaults) with `overrides` on top, e.g. {"http": {"port": 9000}}.

    Raises BadConfig where the file is missing, is not YAML, or says something that cannot be.
    """
    try:
        said = yaml.safe_load(path.read_text("utf-8")) if path else {}
        if said is not None and not isinstance(said, dict):
            raise BadConfig(f"{path}: a mapping of settings is expected, see config.yaml of the repository")
        # A section whose lines are all commented out is null: it says nothing.
        told = {key: value for key, value in (said or {}).items() if value is not None}
        return Config.model_validate(_merged(told, overrides or {}))
    except OSError as error:
        raise BadConfig(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadConfig(f"{path}: is not YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        problems = "; ".join(_problem(one["loc"], one["type"], one["msg"]) for one in error.errors())
        raise BadConfig(f"{path or 'settings'}: {problems}") from error


def _merged(said: Mapping[Any, Any], over: Mapping[str, Any]) -> dict[Any, Any]:
    merged = dict(said)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merged(below if isinstance(below, dict) else {}, value) if isinstance(value, Mapping) else value
    return merged


def _problem(where: tuple[int | str, ...], kind: str, message: str) -> str:
    key = ".".join(map(str, where))
    if kind != "extra_forbidden":
        return f"{key}: {message.removeprefix('Value error, ')}"
    section = ".".join(map(str, where[:-1]))
    return f"there is no key '{where[-1]}' in {f'section {section}' if section else 'the config'}"
