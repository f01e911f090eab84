"""What is asked: whether the newest closed bar of a symbol is abnormal."""

from __future__ import annotations

from ml.capability import Question


class AnomalyQuestion(Question):
    """Is the newest closed bar of `symbol` abnormal for it at this hour, in what way, and how rare is that?"""
