"""Histories of entities: what was known of a card or a terminal just before each event.

`history_features` reads a contract's entities and returns the derived fields, for whole tables and
for streams, from one definition.
"""

from __future__ import annotations

from verticals.history.features import HistoryFeatures, history_counts, history_features
from verticals.history.stream import HistoryStream

__all__ = ["HistoryFeatures", "HistoryStream", "history_counts", "history_features"]
