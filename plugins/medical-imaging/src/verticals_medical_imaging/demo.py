"""The demo: radiographs that are made up, behind a contract written by hand."""

from __future__ import annotations

from importlib.resources import files

from verticals.contract import DataContract, parse_contract
from verticals.table import Table
from verticals_medical_imaging.evidence import BOX
from verticals_medical_imaging.synthesize import synthesize

PATIENTS, IMAGES_EACH, SIZE, SEED = 420, 2, 40, 7


def demo() -> tuple[DataContract, Table]:
    """Return the contract and the raw table of 840 synthetic radiographs of 420 patients.

    The column `image` holds pixels, where a table of one's own names files. The planted lesions'
    boxes are there for the audit of maps; the model does not read them.
    """
    text = files(__package__).joinpath("radiographs.yaml").read_text(encoding="utf-8")
    contract = parse_contract(text, source="radiographs.yaml")
    facts, pixels, boxes = synthesize(PATIENTS, IMAGES_EACH, SIZE, SEED)
    places = {name: boxes[:, place] for place, name in enumerate(BOX)}
    return contract, Table({**facts, **places, "image": pixels})
