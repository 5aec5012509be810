"""Evidence on disk: `evidence.json` and one Parquet file a table, each with its digest.

The folder is written in one step. It is verified when it is opened; a table is read from disk
when it is first asked for, and verified once more as it is read, so that what is used is what
`evidence.json` speaks of.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from verticals.errors import DataError, EvidenceError
from verticals.evidence.columns import pack_table, unpack_table
from verticals.evidence.model import (
    PRODUCER,
    RECOMPUTED,
    AttributeInfo,
    EvidenceInfo,
    OutputInfo,
)
from verticals.files import (
    Folder,
    hash_file,
    list_folder,
    name_problem,
    read_file,
    refuse_place,
    steady,
    write_folders,
)
from verticals.strictjson import (
    MAX_BYTES,
    canonical_json,
    is_digest,
    parse_json,
    plain,
    readable_json,
    sha256,
    shown,
)
from verticals.table import Table

FORMAT = 1
MANIFEST = "evidence.json"
MAX_TABLE_BYTES = 4 * 2**30

_ENDING = ".parquet"
_FORMS = ("rows", "counts")
_ORIGINS = (PRODUCER, RECOMPUTED)

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class TableEntry:
    """Say what the file of one table holds: digest, size, rows, and each column with its kind."""

    sha256: str
    size: int
    rows: int
    columns: tuple[tuple[str, str], ...]  # (name, kind), see `evidence.columns`


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Hold what an evidence folder says; tables are read, and verified, when asked for."""

    path: Path
    digest: str
    info: EvidenceInfo
    tables: Mapping[str, Table]

    def table(self, name: str) -> Table:
        """Return a table; raise `EvidenceError` if there is none of that name."""
        if name not in self.tables:
            raise EvidenceError(
                f"{_named(self.path)} has no table {name!r}, it has {', '.join(self.tables)}"
            )
        return self.tables[name]


def write_evidence(path: str | Path, info: EvidenceInfo, tables: Mapping[str, Table]) -> str:
    """Write evidence, or replace some, and return its digest; a kill leaves the old or the new.

    The digest covers `info` and every table, neither place nor time.

    Raises `EvidenceError` if something that is no evidence stands at `path`, for a name that is no
    plain lower-case one, a column that no table of evidence has, or if the system refuses.
    """
    packed = pack_evidence(path, info, tables)
    with _evidence_errors():
        write_folders((packed.folder,))
    return packed.digest


@dataclass(frozen=True, kw_only=True)
class PackedEvidence:
    """Hold evidence that is ready to be written (see `verticals.files`), and its digest."""

    folder: Folder
    digest: str


def pack_evidence(
    path: str | Path, info: EvidenceInfo, tables: Mapping[str, Table]
) -> PackedEvidence:
    """Make every byte of evidence, and write none; errors as `write_evidence`."""
    path = Path(path)
    what = _named(path)
    with _evidence_errors():
        scores = tables.get("scores")
        if info.form == "rows" and scores is not None and scores.rows != info.rows:
            raise EvidenceError(f"{what}: scores has {scores.rows} rows, info says {info.rows}")
        files: dict[str, bytes] = {}
        entries: dict[str, Any] = {}
        for name in sorted(tables):
            problem = name_problem(name)
            if problem:
                raise EvidenceError(f"{what}: table {shown(name)} {problem}")
            data, columns = pack_table(tables[name], what=f"{what}: table {name!r}")
            files[f"{name}{_ENDING}"] = data
            entries[name] = {
                "sha256": sha256(data),
                "size": len(data),
                "rows": tables[name].rows,
                "columns": columns,
            }
        body = plain({"format": FORMAT, "info": _info_json(info), "tables": entries}, what)
        digest = sha256(canonical_json(body))
        files[MANIFEST] = readable_json({**body, "digest": digest})
        _parse_manifest(files[MANIFEST], f"{what}: {MANIFEST}")
    folder = Folder(path=path, files=files, what=what, ours=_is_evidence)
    return PackedEvidence(folder=folder, digest=digest)


def refuse_place_of_evidence(path: str | Path) -> None:
    """Raise `EvidenceError` where no evidence can be written, as something else stands there."""
    try:
        refuse_place(Path(path), _named(Path(path)), _is_evidence)
    except DataError as error:
        raise EvidenceError(error.message, hint=error.hint) from error


def open_evidence(path: str | Path) -> Evidence:
    """Verify evidence and return it.

    Raises `EvidenceError` for files that are missing, changed, extra or no plain files, and for
    anything that is not as evidence is written.
    """
    path = Path(path)
    with _evidence_errors():
        return steady(path, lambda: _open(path))


def _open(path: Path) -> Evidence:
    what = _named(path)
    sizes = list_folder(path, what=what, marker=MANIFEST)
    data = read_file(path, MANIFEST, what=what, max_bytes=MAX_BYTES)
    digest, info, entries = _parse_manifest(data, f"{what}: {MANIFEST}")
    expected = {f"{name}{_ENDING}": entry for name, entry in entries.items()}
    for name in sorted(set(sizes) - set(expected) - {MANIFEST}):
        raise EvidenceError(f"{what}: {shown(name)} is an extra file")
    for name, entry in expected.items():
        if name not in sizes:
            raise EvidenceError(f"{what}: {name} is missing")
        _check(name, *hash_file(path, name, what=what), entry, what)
    return Evidence(path=path, digest=digest, info=info, tables=_LazyTables(path, entries))


class _LazyTables(Mapping[str, Table]):
    """Read a table when it is first asked for, and check its digest as it is read."""

    def __init__(self, path: Path, entries: Mapping[str, TableEntry]) -> None:
        self._path = path
        self._entries = entries
        self._read: dict[str, Table] = {}

    def __getitem__(self, name: str) -> Table:
        if name not in self._read:
            entry, what, file = self._entries[name], _named(self._path), f"{name}{_ENDING}"
            with _evidence_errors():
                data = read_file(self._path, file, what=what, max_bytes=entry.size)
                _check(file, sha256(data), len(data), entry, what)
                where = f"{what}: {file}"
                self._read[name] = unpack_table(data, entry.columns, entry.rows, what=where)
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries


def _named(path: Path) -> str:
    return f"evidence {str(path)!r}"


def _is_evidence(names: Collection[str]) -> bool:
    return MANIFEST in names and all(name == MANIFEST or name.endswith(_ENDING) for name in names)


@contextmanager
def _evidence_errors() -> Iterator[None]:
    try:
        yield
    except DataError as error:
        raise EvidenceError(error.message, hint=error.hint) from error


def _check(name: str, digest: str, size: int, entry: TableEntry, what: str) -> None:
    if (digest, size) != (entry.sha256, entry.size):
        raise EvidenceError(
            f"{what}: {name} has changed: {size} bytes of digest {digest}, "
            f"expected {entry.size} of {entry.sha256}"
        )


# ---- evidence.json ---------------------------------------------------------------------------


def _info_json(info: EvidenceInfo) -> dict[str, Any]:
    found = {item.name: getattr(info, item.name) for item in fields(info)}
    for key in ("outputs", "attributes"):
        found[key] = [vars(item) for item in found[key]]
    return found


def _parse_manifest(data: bytes, what: str) -> tuple[str, EvidenceInfo, dict[str, TableEntry]]:
    whole = parse_json(data, what=what)
    if not isinstance(whole, dict):
        raise DataError(f"{what} is {type(whole).__name__}, expected a JSON object")
    version = whole.get("format")
    if type(version) is not int or version != FORMAT:
        raise DataError(
            f"{what} is of format {shown(version)}, expected {FORMAT}",
            hint="install a version of verticals-sdk that reads this format",
        )
    _expect_keys(whole, {"format", "digest", "info", "tables"}, what)
    if readable_json(whole) != data:
        raise DataError(f"{what} has changed bytes: it is not in the form in which it was written")
    digest = whole.pop("digest")
    found = sha256(canonical_json(whole))
    if digest != found:
        raise DataError(f"{what} has changed: its digest is {found}, it says {shown(digest)}")
    tables = _typed(whole["tables"], dict, f"{what}: tables")
    entries = {name: _entry(name, tables[name], f"{what}: tables") for name in tables}
    return found, _info(whole["info"], f"{what}: info"), entries


def _entry(name: str, value: Any, what: str) -> TableEntry:
    where = f"{what}: {shown(name)}"
    problem = name_problem(name)
    if problem:
        raise DataError(f"{where} {problem}, expected the name of a table")
    _expect_keys(value, {"sha256", "size", "rows", "columns"}, where)
    if not is_digest(value["sha256"]):
        raise DataError(f"{where}: sha256 is {shown(value['sha256'])}, expected a digest")
    size = _count(value["size"], f"{where}: size")
    if size > MAX_TABLE_BYTES:
        raise DataError(f"{where} is too large: {size} bytes, expected at most {MAX_TABLE_BYTES}")
    columns = _typed(value["columns"], list, f"{where}: columns")
    if not all(_are_texts(column) and len(column) == 2 for column in columns):
        raise DataError(f"{where}: columns is {shown(columns)}, expected pairs of name and kind")
    return TableEntry(
        sha256=value["sha256"],
        size=size,
        rows=_count(value["rows"], f"{where}: rows"),
        columns=tuple((name, kind) for name, kind in columns),
    )


def _info(value: Any, where: str) -> EvidenceInfo:
    _expect_keys(value, {item.name for item in fields(EvidenceInfo)}, where)
    texts = {
        key: _typed(value[key], str, f"{where}.{key}")
        for key in ("form", "bundle", "origin", "part", "fingerprint")
    }
    for key, known in (("form", _FORMS), ("origin", _ORIGINS)):
        if texts[key] not in known:
            raise DataError(f"{where}.{key} is {shown(texts[key])}, expected one of {known}")
    min_cell, epsilon = value["min_cell"], value["noise_epsilon"]
    if epsilon is not None and (type(epsilon) not in (int, float) or epsilon <= 0):
        raise DataError(f"{where}.noise_epsilon is {shown(epsilon)}, expected a number above 0")
    return EvidenceInfo(
        **texts,
        rows=_count(value["rows"], f"{where}.rows"),
        units=_count(value["units"], f"{where}.units"),
        outputs=_each(value["outputs"], _output, f"{where}.outputs"),
        attributes=_each(value["attributes"], _attribute, f"{where}.attributes"),
        decision=MappingProxyType(_typed(value["decision"], dict, f"{where}.decision")),
        min_cell=None if min_cell is None else _count(min_cell, f"{where}.min_cell"),
        noise_epsilon=epsilon,
        unit_rows=_count(value["unit_rows"], f"{where}.unit_rows"),
    )


def _output(value: Any, where: str) -> OutputInfo:
    names = {item.name for item in fields(OutputInfo)}
    _expect_keys(value, names, where)
    return OutputInfo(**{key: _typed(value[key], str, f"{where}.{key}") for key in names})


def _attribute(value: Any, where: str) -> AttributeInfo:
    _expect_keys(value, {item.name for item in fields(AttributeInfo)}, where)
    groups = value["groups"]
    if not _are_texts(groups):
        raise DataError(f"{where}.groups is {shown(groups)}, expected a list of texts")
    return AttributeInfo(
        name=_typed(value["name"], str, f"{where}.name"),
        role=_typed(value["role"], str, f"{where}.role"),
        label=_typed(value["label"], str, f"{where}.label"),
        groups=tuple(groups),
        also_feature=_typed(value["also_feature"], bool, f"{where}.also_feature"),
    )


def _each(value: Any, read: Callable[[Any, str], T], where: str) -> tuple[T, ...]:
    return tuple(read(item, where) for item in _typed(value, list, where))


def _typed(value: Any, kind: type[T], where: str) -> T:
    if not isinstance(value, kind):
        raise DataError(f"{where} is {shown(value)}, expected {kind.__name__}")
    return value


def _count(value: Any, where: str) -> int:
    if type(value) is not int or value < 0:
        raise DataError(f"{where} is {shown(value)}, expected a count")
    return value


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _expect_keys(value: Any, expected: set[str], where: str) -> None:
    found = set(_typed(value, dict, where))
    if found != expected:
        wrong = sorted(found ^ expected)[0]
        raise DataError(
            f"{where} {'has the unknown' if wrong in found else 'lacks the'} key {shown(wrong)}"
        )
