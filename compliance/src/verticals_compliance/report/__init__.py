"""Reports: one document tree, rendered as HTML, Markdown, JSON, and whatever plugins add.

    record = read_record(Path("audit"))
    document = build(record, [read_profile("eu-ai-act")])
    data = render(document, "html")

The same record and profiles give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from verticals.errors import AuditError
from verticals_compliance.report.build import build
from verticals_compliance.report.html import render_html
from verticals_compliance.report.json_ import render_json
from verticals_compliance.report.markdown import render_markdown
from verticals_compliance.report.profiles import Profile, profile_names, read_profile
from verticals_compliance.report.record import Record, read_record
from verticals_compliance.report.tree import Document, to_mapping

__all__ = [
    "Document",
    "Profile",
    "Record",
    "build",
    "endings",
    "profile_names",
    "read_profile",
    "read_record",
    "render",
]

#: A further format: the JSON form of the document tree in, the bytes of a file out.
Format = Callable[[Mapping[str, Any]], bytes]

_PRINT = "write report.html and print it to a file from a browser, or install a plugin for it"


def endings(formats: Mapping[str, Format] | None = None) -> tuple[str, ...]:
    """Return the file endings that can be written, ours first, then those of plugins."""
    own = ("html", "md", "json")
    return (*own, *sorted(set(formats or {}) - set(own)))


def render(document: Document, ending: str, formats: Mapping[str, Format] | None = None) -> bytes:
    """Render a document for a file ending, without the dot.

    `formats` are further formats by ending, as plugins give them; none can replace ours.

    Raises `AuditError` if nobody renders the ending, or if a plugin fails at it.
    """
    ending = ending.lower().lstrip(".")
    if ending in ("html", "htm"):
        return render_html(document)
    if ending in ("md", "markdown"):
        return render_markdown(document)
    if ending == "json":
        return render_json(document)
    known = ", ".join(endings(formats))
    make = (formats or {}).get(ending)
    if make is None:
        hint = _PRINT if ending in ("pdf", "docx") else "verticals report DIR --out report.html"
        raise AuditError(f"no report format {ending!r}, expected one of {known}", hint=hint)
    try:
        data = make(to_mapping(document))
    except Exception as error:  # a plugin's code may raise anything
        told = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise AuditError(f"the plugin's report format {ending!r} failed: {told}") from error
    if not isinstance(data, bytes):
        kind = type(data).__name__
        raise AuditError(f"the plugin's report format {ending!r} returned {kind}, expected bytes")
    return data
