"""Which version of a capability answers, now and at any time before; and every decision that made it so."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.sqlite import insert

from registry.aliases import CHAMPION, RULES, InForce, Moves, move, moves_of
from registry.audit_chain import Act, append
from registry.events import put
from registry.faults import MoveRefused, UnknownCapability, UnknownVersion
from registry.held import Held
from registry.models import Card, Decision, State, Verdict, Version, next_label, told, version_of
from registry.store import Store
from registry.tables import aliases, decisions, versions

__all__ = ["CHAMPION", "RULES", "TOLD", "InForce", "Versions"]

#: What the outbox hears of, under one name each: the fact and its event are one transaction.
TOLD: Mapping[Verdict, str] = {
    Verdict.PROMOTED: "model.promoted",
    Verdict.ROLLED_BACK: "model.rolled_back",
    Verdict.RETIRED: "model.retired",
}

#: From which states a version may go to which.
_MAY = {
    State.SHADOW: frozenset({State.CANDIDATE, State.RETIRED}),
    State.CHAMPION: frozenset({State.CANDIDATE, State.SHADOW, State.RETIRED}),
    State.REJECTED: frozenset({State.CANDIDATE, State.SHADOW, State.RETIRED}),
    State.RETIRED: frozenset({State.CANDIDATE, State.SHADOW, State.CHAMPION}),
}


class Versions:
    """Versions of one tenant, and the append-only history of their aliases, held in memory for the asking.

    A decision is one transaction: the state, the alias and the reasons are on disk together when the call returns, and
    only then does `champion` know. Reasons are sentences with their numbers; a decision without one is a ValueError.
    """

    def __init__(self, store: Store, tenant: str) -> None:
        self._store = store
        self._tenant = tenant
        self._champions = Held(self._history)

    def ensure_rules(self, capabilities: Iterable[str], at: int) -> None:
        """Registers version 0 of each capability that is new, and makes it champion. On disk when this returns."""
        new = sorted(set(capabilities) - self._champions.now.keys())
        if not new:
            return
        mine = {"tenant": self._tenant, "version": RULES}
        with self._store.write() as connection:
            connection.execute(
                insert(versions).on_conflict_do_nothing(),
                [{**mine, "capability": name, "state": CHAMPION, "registered_at": at} for name in new],
            )
            connection.execute(
                insert(aliases).on_conflict_do_nothing(),
                [{**mine, "capability": name, "alias": CHAMPION, "move": 1, "moved_at": at} for name in new],
            )
        self._champions.renew()

    def champion(self, capability: str, as_of: int) -> int:
        """The version in force at `as_of` (ms). Raises UnknownCapability."""
        return self.in_force(capability, as_of).version

    def in_force(self, capability: str, as_of: int) -> InForce:
        """The same, with its strata. Raises UnknownCapability where `ensure_rules` never heard of the capability."""
        try:
            return self._champions.now[capability].at(as_of)
        except KeyError:
            raise _unknown(capability, self._champions.now) from None

    def register(self, capability: str, card: Card, at: int) -> Version:
        """A new candidate, numbered after the newest. The blob must be on disk before.

        The same bytes again are the version that they were: whoever was killed may simply train again.
        """
        with self._store.write() as connection:
            known = _all(connection, self._tenant, capability)
            for one in known:
                if one.card and one.card.sha256 == card.sha256:
                    return one
            if not known:
                raise _unknown(capability, self._champions.now)
            label = next_label(card, known[-1])
            new = Version(capability, known[-1].version + 1, label, State.CANDIDATE, at, card)
            row = {"version": new.version, "state": new.state, "sha256": card.sha256, "report": told(card, label)}
            connection.execute(
                insert(versions).values(tenant=self._tenant, capability=capability, registered_at=at, **row)
            )
            source = f"trained on {card.n_lessons:,} lessons"
            self._decide(connection, new, Verdict.REGISTERED, [source], "training", at)
        return new

    def promote(
        self,
        capability: str,
        version: int,
        reasons: Sequence[str],
        by: str,
        at: int,
        strata: Iterable[str] | None = None,
    ) -> Decision:
        """Makes it the champion, in force from `at` (ms) on; the old one retires (the rules become a shadow). It is in
        force for questions of `strata` alone; by default for all.

        An answer already given must not change: let `at` be later than any `as_of` that was answered. Raises
        MoveRefused for a rejected version, for the champion itself and for an `at` before the last move.
        """
        with self._store.write() as connection:
            chosen = _one(connection, self._tenant, capability, version)
            self._crown(connection, chosen, None if strata is None else frozenset(strata), at)
            decision = self._decide(connection, chosen, Verdict.PROMOTED, reasons, by, at)
        self._champions.renew()
        return decision

    def rollback(self, capability: str, reasons: Sequence[str], by: str, at: int) -> Decision:
        """Takes the champion back, in force from `at` on: to the one before it that is not rejected, at last to the
        rules. Raises MoveRefused where the rules answer already."""
        with self._store.write() as connection:
            known = {one.version: one for one in _all(connection, self._tenant, capability)}
            moves = self._read(connection, capability)
            here = known[moves.last.version]
            fit = (one for one in moves.before() if known[one.version].state is not State.REJECTED)
            chosen = next(fit, InForce(RULES))
            self._crown(connection, known[chosen.version], chosen.strata, at)
            decision = self._decide(connection, here, Verdict.ROLLED_BACK, reasons, by, at)
        self._champions.renew()
        return decision

    def retire(self, capability: str, version: int, reasons: Sequence[str], by: str, at: int) -> Decision:
        """Takes it out of the running; the rules answer from `at` on where it was the champion. They never retire."""
        with self._store.write() as connection:
            chosen = _one(connection, self._tenant, capability, version)
            if chosen.state is State.CHAMPION and version != RULES:
                self._crown(connection, _one(connection, self._tenant, capability, RULES), None, at)
            else:
                self._stand(connection, chosen, State.RETIRED)
            decision = self._decide(connection, chosen, Verdict.RETIRED, reasons, by, at)
        self._champions.renew()
        return decision

    def shadow(self, capability: str, version: int, reasons: Sequence[str], by: str, at: int) -> Decision:
        """Lets it be judged beside the champion. Raises MoveRefused for the champion and for a rejected version."""
        return self._stood(capability, version, State.SHADOW, Verdict.SHADOWED, reasons, by, at)

    def reject(self, capability: str, version: int, reasons: Sequence[str], by: str, at: int) -> Decision:
        """Refuses it for good. Raises MoveRefused for the champion: roll it back first."""
        return self._stood(capability, version, State.REJECTED, Verdict.REJECTED, reasons, by, at)

    def keep(self, capability: str, version: int, reasons: Sequence[str], by: str, at: int) -> Decision:
        """Writes down that nothing changes, and why: a promotion refused for now."""
        with self._store.write() as connection:
            chosen = _one(connection, self._tenant, capability, version)
            return self._decide(connection, chosen, Verdict.KEPT, reasons, by, at)

    def of(self, capability: str) -> tuple[Version, ...]:
        """Its versions, oldest first: the rules, then the models. Empty for an unknown capability."""
        with self._store.read() as connection:
            return _all(connection, self._tenant, capability)

    def show(self, capability: str, version: int) -> Version:
        """One version. Raises UnknownVersion."""
        with self._store.read() as connection:
            return _one(connection, self._tenant, capability, version)

    def decisions(self, capability: str) -> tuple[Decision, ...]:
        """Every decision on its versions, oldest first."""
        mine = (decisions.c.tenant == self._tenant) & (decisions.c.capability == capability)
        with self._store.read() as connection:
            rows = connection.execute(select(decisions).where(mine).order_by(decisions.c.number)).all()
        return tuple(
            Decision(
                capability,
                row.number,
                row.version,
                Verdict(row.verdict),
                tuple(json.loads(row.reasons)),
                row.decided_by,
                row.at,
            )
            for row in rows
        )

    def earned(self, capability: str, version: int) -> str | None:
        """What decided that it was promoted, the last time; None where it never was."""
        told = [one for one in self.decisions(capability) if (one.version, one.verdict) == (version, Verdict.PROMOTED)]
        return told[-1].reasons[0] if told and told[-1].reasons else None

    def _stood(
        self, capability: str, version: int, to: State, verdict: Verdict, reasons: Sequence[str], by: str, at: int
    ) -> Decision:
        with self._store.write() as connection:
            chosen = _one(connection, self._tenant, capability, version)
            self._stand(connection, chosen, to)
            return self._decide(connection, chosen, verdict, reasons, by, at)

    def _crown(self, connection: Connection, chosen: Version, strata: frozenset[str] | None, at: int) -> None:
        """Moves the alias to `chosen`, in force from `at` on, and the champion before it out of the way."""
        if strata is not None and not strata:
            raise ValueError("a version in force for no stratum is none: say which, or None for all")
        moves = self._read(connection, chosen.capability)
        if at < moves.moved_at[-1]:
            raise MoveRefused(f"the alias was last moved at {moves.moved_at[-1]} ms, which is after {at} ms")
        here = _one(connection, self._tenant, chosen.capability, moves.last.version)
        self._stand(connection, chosen, State.CHAMPION)
        self._set(connection, here, State.SHADOW if here.version == RULES else State.RETIRED)
        to = InForce(chosen.version, strata)
        move(connection, self._tenant, chosen.capability, len(moves.to) + 1, to, at)

    def _stand(self, connection: Connection, chosen: Version, to: State) -> None:
        rules_leave = chosen.version == RULES and to in (State.RETIRED, State.REJECTED)
        if chosen.state not in _MAY[to] or rules_leave:
            raise MoveRefused(f"{chosen.name} is {chosen.state} and cannot become {to}")
        self._set(connection, chosen, to)

    def _set(self, connection: Connection, chosen: Version, to: State) -> None:
        mine = (versions.c.tenant == self._tenant) & (versions.c.capability == chosen.capability)
        connection.execute(update(versions).where(mine & (versions.c.version == chosen.version)).values(state=to))

    def _decide(
        self, connection: Connection, about: Version, verdict: Verdict, reasons: Sequence[str], by: str, at: int
    ) -> Decision:
        if not reasons or not all(reasons):
            raise ValueError("a decision has at least one reason")
        mine = (decisions.c.tenant == self._tenant) & (decisions.c.capability == about.capability)
        last = connection.execute(select(func.max(decisions.c.number)).where(mine)).scalar_one()
        made = Decision(about.capability, (last or 0) + 1, about.version, verdict, tuple(reasons), by, at)
        row = {"number": made.number, "version": made.version, "verdict": made.verdict, "decided_by": by, "at": at}
        written = json.dumps(list(reasons), ensure_ascii=False)
        connection.execute(
            insert(decisions).values(tenant=self._tenant, capability=made.capability, reasons=written, **row)
        )
        why = {"decision": made.number, "reasons_sha256": hashlib.sha256(written.encode()).hexdigest()}
        append(connection, self._tenant, [Act(at, by, str(verdict), about.name, json.dumps(why))])
        if verdict in TOLD:
            now = self._read(connection, made.capability).last
            put(connection, self._tenant, f"{about.name}#{made.number}", TOLD[verdict], _payload(made, now), at)
        return made

    def _read(self, connection: Connection, capability: str) -> Moves:
        """The moves as they stand on disk, for a writer: memory follows a moment later."""
        found = moves_of(connection, self._tenant)
        if capability not in found:
            raise _unknown(capability, found)
        return found[capability]

    def _history(self) -> Mapping[str, Moves]:
        with self._store.read() as connection:
            return moves_of(connection, self._tenant)


def _all(connection: Connection, tenant: str, capability: str) -> tuple[Version, ...]:
    mine = (versions.c.tenant == tenant) & (versions.c.capability == capability)
    rows = connection.execute(select(versions).where(mine).order_by(versions.c.version))
    return tuple(version_of(capability, row.version, row.state, row.registered_at, row.report) for row in rows)


def _one(connection: Connection, tenant: str, capability: str, version: int) -> Version:
    known = {one.version: one for one in _all(connection, tenant, capability)}
    if version not in known:
        raise UnknownVersion(f"there is no {capability}@{version}; known are {sorted(known)}")
    return known[version]


def _payload(made: Decision, now: InForce) -> str:
    """What an event says: the word on a version, and who is in force from `in_force_from` (ms) on, for which strata."""
    return json.dumps(
        {
            "capability": made.capability,
            "version": made.version,
            "in_force": now.version,
            "strata": None if now.strata is None else sorted(now.strata),
            "in_force_from": made.at,
            "by": made.decided_by,
            "reasons": list(made.reasons),
        }
    )


def _unknown(capability: str, known: Iterable[str]) -> UnknownCapability:
    return UnknownCapability(f"{capability!r} has no versions; known are {sorted(known)}")
