"""Render a document tree as JSON: the tree itself."""

from __future__ import annotations

import json

from verticals_compliance.report.tree import Document, to_mapping


def render_json(document: Document) -> bytes:
    """Return the tree as indented JSON in UTF-8; the same document gives the same bytes."""
    text = json.dumps(to_mapping(document), ensure_ascii=False, indent=1, allow_nan=False)
    return (text + "\n").encode("utf-8")
