"""Turn the bytes of a text file into text: find the encoding, and look the text over once.

Files are read in blocks, so memory stays bounded however long the file is.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from verticals.contract import Note
from verticals.errors import CallError, DataError

BLOCK = 2 << 20  # characters or bytes held at a time; also the longest row that is accepted

# Byte-order marks, and the codec that reads what follows them.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Codecs whose name leaves the byte-order mark open; read so where a file has none.
_UNMARKED = {"utf-8": "utf-8", "utf-8-sig": "utf-8", "utf-16": "utf-16-le"}
_NAME_IT = "name the encoding in which the file was exported: --encoding NAME (cp1252, say)"
_UNMARKED_UTF16 = "if the file is UTF-16 without a byte-order mark, add --encoding utf-16-le"
_ASCII = re.compile(r"[\x00-\x7f]+")
_WITHIN = re.compile(r"(?<=[a-z])[^\x00-\x7f](?=[a-z])")
# Characters that may stand beside a quote at the edge of a quoted value, as bytes.
_EDGES = np.frombuffer(b',;\t\n"', dtype=np.uint8)


@dataclass(frozen=True, kw_only=True)
class TextFile:
    """Name a text file and what was found on the first look at all of it."""

    path: Path
    encoding: str  # a codec that knows no byte-order mark
    start: int  # bytes of byte-order mark before the text
    last_line: int  # the last line that is not blank; 0 if there is none
    regular_quotes: bool  # every quote stands at the edge of a value, and all are closed
    notes: tuple[Note, ...] = ()


class _UndecodableError(Exception):
    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


def open_text(path: Path, encoding: str | None = None) -> TextFile:
    """Find the encoding of a file and look it over; an explicit `encoding` wins.

    Without one: a byte-order mark of UTF-8 or UTF-16 decides; then UTF-8; then GB18030 (which
    holds GBK), if all bytes are valid and most characters are common Chinese ones, with a note.

    Raises `DataError` that names the line of an undecodable byte or a NUL, and `CallError` for
    an encoding that Python does not know.
    """
    with path.open("rb") as stream:
        head = stream.read(4)
    mark, marked = next((found for found in _MARKS if head.startswith(found[0])), (b"", ""))
    if encoding is not None:
        name = _known(encoding)
        follows = name in _UNMARKED and marked.startswith(name.removesuffix("-sig"))
        start = len(mark) if follows else 0
        return _explicit(path, marked if follows else _UNMARKED.get(name, name), start)
    if marked:
        return _explicit(path, marked, len(mark))
    try:
        return _scan(path, "utf-8", 0)
    except _UndecodableError as error:
        return _legacy(path, error.line)


def decoded(path: Path, encoding: str, start: int) -> Iterator[str]:
    """Yield the text in blocks, with every line end as a newline."""
    incremental = codecs.getincrementaldecoder(encoding)("strict")
    decoder = io.IncrementalNewlineDecoder(incremental, translate=True)
    line = 1
    with path.open("rb") as stream:
        stream.seek(start)
        while True:
            raw = stream.read(BLOCK)
            try:
                text = decoder.decode(raw, final=not raw)
            except UnicodeError as error:
                raise _UndecodableError(line + _newlines_before(error, encoding)) from None
            line += text.count("\n")
            yield text
            if not raw:
                return


def whole_lines(path: Path, encoding: str, start: int) -> Iterator[str]:
    """Yield the text in blocks that end with a newline; raise `DataError` for an endless line."""
    rest, line = "", 1
    for text in decoded(path, encoding, start):
        head, newline, rest = (rest + text).rpartition("\n")
        if newline:
            yield head + newline
            line += head.count("\n") + 1
        if len(rest) > BLOCK:
            raise DataError(
                f"{path}, line {line}: longer than {BLOCK >> 20} MiB, expected one row a line",
                hint="check that the file is text, with line ends",
            )
    if rest:
        yield rest + "\n"


def _known(encoding: str) -> str:
    try:
        b"a\0\0\0".decode(encoding)  # a character or two in UTF-8, UTF-16 and UTF-32 alike
        return codecs.lookup(encoding).name
    except (LookupError, UnicodeError):
        raise CallError(
            f"encoding {encoding!r} is not known, expected a name such as utf-8, gb18030 or cp1252",
            hint="leave --encoding out to have UTF-8, UTF-16 and GB18030 found automatically",
        ) from None


def _explicit(path: Path, encoding: str, start: int) -> TextFile:
    try:
        return _scan(path, encoding, start)
    except _UndecodableError as error:
        raise DataError(
            f"{path}, line {error.line}: bytes that are not {encoding}, expected text in it",
            hint=_NAME_IT,
        ) from None


def _legacy(path: Path, line: int) -> TextFile:
    """Read as GB18030 what is not UTF-8, or say which line is not."""
    try:
        foreign, common, within = _chinese(path)
    except _UndecodableError:
        foreign, common, within = 1, 0, 0
    # Western text in a one-byte encoding is often valid GB18030 by accident, but then its
    # "characters" are a letter with an accent glued to the next letter, hardly ever in GB 2312; or
    # two accented letters within a word, with small letters of ASCII around them.
    if 2 * common < foreign or 2 * within >= foreign:
        with path.open("rb") as stream:
            wide = b"\0" in stream.read(4096)
        raise DataError(
            f"{path}, line {line}: bytes that are not UTF-8, expected UTF-8, UTF-16 with a "
            "byte-order mark, or GB18030",
            hint=_UNMARKED_UTF16 if wide else _NAME_IT,
        )
    found = _scan(path, "gb18030", 0)
    count = _lines_not_utf8(path)
    note = Note(
        kind="encoding",
        column="",
        count=count,
        message=f"{path} was read as GB18030 (GBK): {count} line(s) are not UTF-8, "
        f"the first is line {line}; if that is wrong, --encoding cp1252 (say) names it",
        rows=(),
    )
    return TextFile(
        path=path,
        encoding=found.encoding,
        start=0,
        last_line=found.last_line,
        regular_quotes=found.regular_quotes,
        notes=(note,),
    )


def _chinese(path: Path) -> tuple[int, int, int]:
    """Count the characters outside ASCII, those that GB 2312 holds, and those within a word.

    Within a word is a lone one that has a small letter of ASCII on both sides: "Gr\u9c9ee".
    """
    foreign = common = within = 0
    for text in decoded(path, "gb18030", 0):
        characters = _ASCII.sub("", text)
        foreign += len(characters)
        common += len(characters.encode("gb2312", "ignore")) // 2
        within += len(_WITHIN.findall(text))
    return foreign, common, within


def _lines_not_utf8(path: Path) -> int:
    count = 0
    with path.open("rb") as stream:
        while line := stream.readline(BLOCK):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                count += 1
    return count


def _scan(path: Path, encoding: str, start: int) -> TextFile:
    """Decode the whole file once; raise for a NUL, note the last line and the quotes' order."""
    line, last, inside, regular = 0, 0, False, True
    for text in whole_lines(path, encoding, start):
        if "\0" in text:
            number = line + text[: text.index("\0")].count("\n") + 1
            raise DataError(
                f"{path}, line {number}: a NUL byte, expected text",
                hint=_UNMARKED_UTF16,
            )
        filled = text.rstrip()
        if filled:
            last = line + filled.count("\n") + 1
        if regular and '"' in text:
            regular, inside = _quotes_at_edges(text, inside)
        line += text.count("\n")
    return TextFile(
        path=path,
        encoding=encoding,
        start=start,
        last_line=last,
        regular_quotes=regular and not inside,
    )


def _quotes_at_edges(text: str, inside: bool) -> tuple[bool, bool]:
    """Tell whether each quote opens at the start of a value and closes at its end.

    `inside` says whether the text starts within a quoted value; the second result says whether
    it ends within one. Doubled quotes need no rule of their own: the first closes, the second
    opens, and they stand beside each other.
    """
    characters = np.frombuffer(f"\n{text}\n".encode(), dtype=np.uint8)
    at = np.flatnonzero(characters == ord('"'))
    opening, closing = at[int(inside) :: 2], at[1 - int(inside) :: 2]
    regular = np.isin(characters[opening - 1], _EDGES).all()
    regular = regular and np.isin(characters[closing + 1], _EDGES).all()
    return bool(regular), inside ^ bool(at.size % 2)


def _newlines_before(error: UnicodeError, encoding: str) -> int:
    if not isinstance(error, UnicodeDecodeError):
        return 0
    text = bytes(error.object[: error.start]).decode(encoding, "ignore")
    return text.replace("\r\n", "\n").replace("\r", "\n").count("\n")
