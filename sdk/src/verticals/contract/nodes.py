"""Contract text as a tree of nodes that know their line. YAML 1.2 by ruamel.yaml, and less of it.

Scalars keep their source text, so that `NO` stays text and `01` stays a code. Tags, anchors and
aliases are refused: a contract is read by people, and one that comes with a bundle is not trusted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from verticals.errors import ContractError

MAX_CHARACTERS = 1 << 20
MAX_DEPTH = 16
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})


@dataclass(frozen=True, kw_only=True)
class Node:
    """Hold one piece of a contract: a text, a list or a map, and the line where it begins."""

    kind: str  # text, list, map
    line: int
    text: str = ""
    plain: bool = False  # a text without quotes
    items: tuple[Node, ...] = ()
    pairs: tuple[tuple[Node, Node], ...] = ()

    @property
    def is_null(self) -> bool:
        """Tell whether the value is left open (`null`, `~`, or nothing)."""
        return self.kind == "text" and self.plain and self.text in _NULLS

    @property
    def shown(self) -> str:
        """Return a short form for messages."""
        if self.is_null:
            return "empty"
        if self.kind == "text":
            return short(self.text) if self.plain else repr(short(self.text))
        if self.kind == "list":
            return short("[" + ", ".join(item.shown for item in self.items) + "]")
        return "a map"


def short(text: str, width: int = 60) -> str:
    """Return the text on one line, cut to a width."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"


def refused(source: str, message: str, line: int | None = None) -> ContractError:
    """Return the error for text that is no contract at all: one violation, with its line."""
    where = f"line {line}: " if line else ""
    return ContractError(
        f"{source} {where}{message}" if line else f"{source}: {message}",
        hint=f"correct {source}; `verticals contract draft DATA` writes one to start from",
        violations=[f"{where}{message}"],
    )


def read_tree(text: str, source: str) -> Node:
    """Return the root map of a contract's text; raise `ContractError` if there is none."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    if len(text) > MAX_CHARACTERS:
        message = f"has {len(text)} characters, expected at most {MAX_CHARACTERS}"
        raise refused(source, message)
    events = YAML(typ="safe", pure=True).parse(text)
    try:
        root = _document(events, source)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = short(f"{error.problem or error.context}", 200)
        line = mark.line + 1 if mark else None
        raise refused(source, f"is not valid YAML: {problem}", line) from error
    except YAMLError as error:
        problem = short(str(error), 200)
        raise refused(source, f"is not valid YAML: {problem}") from error
    except (ValueError, IndexError, OverflowError) as error:
        # The scanner's own slips on hostile text, such as an escape beyond Unicode.
        raise refused(source, f"is not valid YAML: {short(str(error), 200)}") from error
    if root is None or root.is_null:
        raise refused(source, "is empty, expected a map with solution, name and fields")
    if root.kind != "map":
        message = f"is {root.shown}, expected a map with solution, name and fields"
        raise refused(source, message, root.line)
    return root


def _document(events: Iterator[Any], source: str) -> Node | None:
    root: Node | None = None
    for event in events:
        name = type(event).__name__
        if name in {"StreamStartEvent", "StreamEndEvent", "DocumentEndEvent"}:
            continue
        if name == "DocumentStartEvent":
            if root is not None:
                raise refused(source, "holds a second document", event.start_mark.line + 1)
            continue
        root = _node(event, events, source, 0)
    return root


def _node(event: Any, events: Iterator[Any], source: str, depth: int) -> Node:
    line = event.start_mark.line + 1
    name = type(event).__name__
    if name == "AliasEvent" or event.anchor is not None:
        message = "uses an anchor or an alias (& or *); write the value out, or quote the text"
        raise refused(source, message, line)
    if event.tag is not None:
        raise refused(source, f"uses the tag {short(str(event.tag))}; write a plain value", line)
    if name == "ScalarEvent":
        return Node(kind="text", line=line, text=event.value, plain=event.style is None)
    if depth == MAX_DEPTH:
        raise refused(source, f"is nested deeper than {MAX_DEPTH} levels", line)
    nodes: list[Node] = []
    for inner in events:
        if type(inner).__name__ in {"SequenceEndEvent", "MappingEndEvent"}:
            break
        nodes.append(_node(inner, events, source, depth + 1))
    if name == "SequenceStartEvent":
        return Node(kind="list", line=line, items=tuple(nodes))
    pairs = tuple(
        # Nothing after a key begins, for the parser, where the next key stands.
        (key, replace(value, line=key.line) if value.is_null else value)
        for key, value in zip(nodes[::2], nodes[1::2], strict=True)
    )
    return Node(kind="map", line=line, pairs=pairs)
