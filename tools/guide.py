"""How to read a reply, in words: made from the models, so it cannot say anything else than they do."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from ml.capability import Question, Use, Why
from tools.detail import Detail
from tools.refusal import Code, ErrorDetail
from tools.reply import Envelope, TrackRecord


def guide() -> str:
    """The page, in markdown."""
    return "\n".join(
        [
            "# How to read a reply",
            "",
            "What is null is left out. `answer` has the fields that the tool lists.",
            "",
            *_fields(Envelope),
            "",
            "## track_record",
            "",
            *_fields(TrackRecord),
            "",
            "## What all instruments may be asked",
            "",
            *_fields(Question),
            "- `more_symbols`: the same question for others; they answer in `more`.",
            f"- `detail`: {' or '.join(Detail)}.",
            f"- `use`: {' or '.join(Use)}; a veto is on disk before it is said.",
            "",
            "## Why nobody answered",
            "",
            f"`abstained.why` is one of {', '.join(Why)}; `abstained.text` says it with its number.",
            "",
            "## Errors",
            "",
            "An error is the caller's to mend, or says `retryable`. It never repeats what was sent.",
            "",
            *_fields(ErrorDetail),
            f"- `code` is one of {', '.join(Code)}.",
        ]
    )


def _fields(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if field.description:
            yield f"- `{name}`: {field.description}"
