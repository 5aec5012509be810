"""Read, write, split and fingerprint tables of rows.

Readers give a raw table (source column names, plain numpy types), which `verticals.contract.bind`
holds against a contract; `split` takes the bound table that comes out of it.
"""

from verticals.data.fingerprint import fingerprint, hash_ids
from verticals.data.leaks import split_leaks
from verticals.data.readers import Loaded, TableStream, iter_tables, read_table
from verticals.data.split import PARTS, Shares, split, split_notes, split_rows
from verticals.data.temporal import (
    Fold,
    label_known,
    labels_as_known,
    prequential_folds,
    retired_rows,
)
from verticals.data.writers import TableWriter, write_table

__all__ = [
    "PARTS",
    "Fold",
    "Loaded",
    "Shares",
    "TableStream",
    "TableWriter",
    "fingerprint",
    "hash_ids",
    "iter_tables",
    "label_known",
    "labels_as_known",
    "prequential_folds",
    "read_table",
    "retired_rows",
    "split",
    "split_leaks",
    "split_notes",
    "split_rows",
    "write_table",
]
