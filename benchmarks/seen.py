"""What a model must see of an answer, whatever host it sits in: as text or as JSON."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from barograph import Client

PREDICTION = re.compile(r"\b[0-9a-f]{32}\b")
AS_OF = re.compile(r'(?:As of |"as_of": ?")(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)')
STALE = re.compile(r'"stale": ?(true|false)|[ ,](fresh|stale);')
#: An instant may be told to the second below.
SLACK = timedelta(seconds=2)


def missing(seen: str, client: Client, began_seconds: float) -> list[str]:
    """What is not in `seen`, by what the server tells of the predictions that are named there. `began_seconds`: the
    time (since 1970) before which nothing was asked."""
    plain = seen.replace('\\"', '"')
    named = list(dict.fromkeys(PREDICTION.findall(plain)))
    if not named:
        return ["no prediction is named"]
    lacks = [] if _as_of_seen(plain, began_seconds) else ["as_of is not seen"]
    for prediction in named:
        reply: dict[str, Any] = dict(client.explain_prediction(prediction, detail="full").reply or {})
        lacks += [f"{what} is not seen ({fact})" for what, fact, there in _facts(plain, reply) if not there]
    return lacks


def _facts(seen: str, reply: dict[str, Any]) -> list[tuple[str, object, bool]]:
    answer, stale = reply["answer"], bool(reply["stale"])
    told = {one[0] == "true" or one[1] == "stale" for one in STALE.findall(seen)}
    name, number = ("confidence", answer["confidence"]) if "label" in answer else ("number", answer["volatility_pct"])
    facts = [
        ("source", reply["source"], re.search(rf"\b{reply['source']}\b", seen) is not None),
        ("stale", stale, told == {stale}),
        (name, number, any(form in seen for form in _forms(number))),
    ]
    return facts + (
        [("label", answer["label"], re.search(rf"\b{answer['label']}\b", seen) is not None)]
        if "label" in answer
        else []
    )


def _forms(number: float) -> tuple[str, ...]:
    return repr(number), f"{number:.0%}", f"{number:.2f}%", f"{number:.1f}%"


def _as_of_seen(seen: str, began_seconds: float) -> bool:
    began = datetime.fromtimestamp(began_seconds, UTC) - SLACK
    found = [datetime.fromisoformat(one).replace(tzinfo=UTC) for one in AS_OF.findall(seen)]
    return bool(found) and all(began <= one <= datetime.now(UTC) + SLACK for one in found)
