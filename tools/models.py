"""Models in memory: artefacts whose hash was checked, loaded once, each with a breaker and threads of its own."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ml.bars import DAY_MS
from ml.capability import AnyCapability, CannotAnswer, Predictor, Why
from ml.learning import Artefact
from registry.faults import DamagedBlob, MissingBlob
from registry.models import Card
from registry.versions import RULES, InForce, Versions
from tools.breaker import Breaker
from tools.chain import Absent, Earned, Link
from tools.reply import brief_time
from tools.threads import Threads

log = logging.getLogger(__name__)

#: Models that are kept in memory: the champions, and those asked for last.
MOST_LOADED = 16


@dataclass(frozen=True, slots=True)
class Loaded:
    """A version that can be asked, or an `Absent` one that says why not. The rules have no card."""

    link: Link
    card: Card | None


class Models:
    """Versions of all capabilities as predictors. `read` gives the bytes of an artefact by its sha256, checked, and
    raises what blobs raise. Threads may share it."""

    def __init__(
        self,
        capabilities: Sequence[AnyCapability],
        versions: Versions,
        read: Callable[[str], bytes],
        clock: Callable[[], int],
    ) -> None:
        self._capabilities = {one.name: one for one in capabilities}
        self._rules = {one.name: Loaded(Link(f"{one.name}@0", one.rules), None) for one in capabilities}
        self._versions = versions
        self._read = read
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, int], Loaded] = OrderedDict()

    def loaded(self, capability: str, version: int) -> Loaded:
        """The version, from memory or, the first time, from disk (some 10 ms). Raises UnknownVersion."""
        if version == RULES:
            return self._rules[capability]
        key = capability, version
        with self._lock:
            known = self._kept.get(key)
            if known is not None:
                self._kept.move_to_end(key)
                return known
        found = self._load(self._capabilities[capability], version)
        with self._lock:
            kept = self._kept.setdefault(key, found)  # of two who load at once both use the first: one breaker
            while len(self._kept) > MOST_LOADED:
                self._kept.popitem(last=False)
        return kept

    def unserved(self, capability: str, version: int) -> str | None:
        """Why the version cannot be asked, or None; it is in memory then. One that could not be loaded before is tried
        again: its artefact may have been made anew."""
        with self._lock:
            known = self._kept.get((capability, version))
            if known is not None and known.link.absent:
                del self._kept[capability, version]
        why = self.loaded(capability, version).link.absent
        return why.text if why else None

    def _load(self, capability: AnyCapability, version: int) -> Loaded:
        card = self._versions.show(capability.name, version).card
        name = f"{capability.name}@{version}"
        found = _predictor(capability, version, card, self._read)
        if isinstance(found, CannotAnswer):
            return Loaded(Link(name, Absent(version, found)), card)
        return Loaded(Link(name, found, Breaker(self._clock), Threads()), card)


class Champions:
    """Chains over versions: the champion in force at `as_of`, then the rules. A model says nothing about times before
    it had learnt, nor when it is older than `too_old_days` of its capability."""

    def __init__(
        self,
        capabilities: Sequence[AnyCapability],
        versions: Versions,
        models: Models,
        too_old_days: Callable[[str], int],
    ) -> None:
        self._capabilities = {one.name: one for one in capabilities}
        self._names: Mapping[str, tuple[str, ...]] = {one.name: tuple(one.features.names) for one in capabilities}
        self._versions = versions
        self._models = models
        self._too_old_days = too_old_days

    def chain(self, capability: str, as_of: int) -> Sequence[Link]:
        """The chain of `capability` in force at `as_of` (ms)."""
        rules = self._models.loaded(capability, RULES).link
        in_force = self._versions.in_force(capability, as_of)
        if in_force.version == RULES:
            return (rules,)
        found = self._models.loaded(capability, in_force.version)
        why = self._unfit(capability, found, as_of)
        if why is not None:
            return (replace(found.link, predictor=Absent(in_force.version, why)), rules)
        if in_force.strata is None:
            return (found.link, rules)
        earned = Earned(in_force.strata, self._capabilities[capability].strata)
        return (replace(found.link, earned=earned), rules)

    def champion(self, capability: str, as_of: int) -> tuple[InForce, Predictor[Any]] | None:
        """Who answers questions as of then (ms), and where, when it is not the rules alone; None where it is."""
        first = self.chain(capability, as_of)[0]
        if first.predictor.version == RULES or first.absent:
            return None
        return self._versions.in_force(capability, as_of), first.predictor

    def _unfit(self, capability: str, found: Loaded, as_of: int) -> CannotAnswer | None:
        """Why a champion that can be loaded is not asked about this time."""
        card = found.card
        if card is None or found.link.absent:
            return found.link.absent
        if card.features != self._names[capability]:
            return CannotAnswer(Why.MISSING_FEATURE, "it was taught other features than there are now")
        if as_of < card.learned_through:
            text = f"it learnt from data through {brief_time(card.learned_through)} and says nothing about times before"
            return CannotAnswer(Why.NOT_MEASURED, text)
        days, limit = (as_of - card.learned_through) // DAY_MS, self._too_old_days(capability)
        if days > limit:
            return CannotAnswer(Why.NOT_MEASURED, f"model is {days} days old, the limit is {limit}")
        return None


def _predictor(
    capability: AnyCapability, version: int, card: Card | None, read: Callable[[str], bytes]
) -> Predictor[Any] | CannotAnswer:
    name = f"{capability.name}@{version}"
    if capability.learner is None or card is None:
        return CannotAnswer(Why.FAILED, "nobody can load it: its capability learns no more")
    try:
        return capability.learner.load(Artefact.of(read(card.sha256), capability.learner.name), version)
    except Exception as error:  # a mistake in a learner, too, must not take the rules down with it
        log.exception("%s cannot be loaded and is passed over", name)
        what = "missing" if isinstance(error, MissingBlob) else "damaged"
        unread = isinstance(error, MissingBlob | DamagedBlob)
        return CannotAnswer(Why.FAILED, f"its artefact is {what}" if unread else "its artefact cannot be loaded")
