"""Fields of other kinds: images, sequences, and whatever a FieldEncoder takes."""

from __future__ import annotations

import numpy as np
import pytest

from verticals.contract.model import Field
from verticals.encode import build_encoder, encoder_from_settings, fit_encoder
from verticals.errors import ContractError, DataError
from verticals.table import Table

PHOTO = Field(name="photo", kind="image", size=(2, 3))
COLOUR = Field(name="photo", kind="image", size=(2, 3, 3), bounds=(0.0, 1.0))
PULSE = Field(name="pulse", kind="sequence", size=(4,), bounds=(40.0, 240.0))
AGE = Field(name="age", kind="numeric", bounds=(18.0, 100.0))


class Length:
    """Encode a text by its length, a time by its hour: enough to see who is asked."""

    def __init__(self, *shape: int) -> None:
        self._shape = shape or (2,)

    def shape(self, field: Field) -> tuple[int, ...]:
        return self._shape

    def encode(self, field: Field, column: np.ndarray) -> np.ndarray:
        sizes = [0 if item is None else len(str(item)) for item in column]
        return np.broadcast_to(
            np.array(sizes, dtype=np.float32).reshape(-1, *(1 for _ in self._shape)),
            (len(column), *self._shape),
        )


def test_an_image_becomes_channels_first_from_0_to_1():
    image = np.arange(6, dtype=np.uint8).reshape(1, 2, 3) * 51
    encoder = build_encoder([PHOTO, AGE])
    blocks = encoder.encode(Table({"photo": image, "age": np.array([30.0])}))
    assert blocks["photo"].shape == (1, 1, 2, 3)
    assert blocks["photo"].dtype == np.float32
    assert blocks["photo"].ravel() == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert encoder.inputs.shapes == {"photo": (1, 2, 3), "table": (17,)}
    assert encoder.inputs.where["photo"] == ("photo", slice(0, 1))


def test_channels_move_to_the_front():
    image = np.zeros((1, 2, 3, 3))
    image[0, 1, 2, 0] = 0.5
    image[0, 0, 0, 2] = 7.0
    encoder = build_encoder([COLOUR])
    encoded = encoder.encode(Table({"photo": image}))["photo"]
    assert encoded.shape == (1, 3, 2, 3)
    assert encoded[0, 0, 1, 2] == 0.5
    assert encoded[0, 2, 0, 0] == 1.0
    counts = encoder.counts(Table({"photo": image}))
    assert (counts["rows"][0], counts["above"][0]) == (18, 1)


def test_a_sequence_is_scaled_by_its_bounds():
    rows = np.array([[40.0, 140.0, 240.0, 500.0], [np.nan, 0.0, 90.0, 40.0]])
    uneven = np.empty(2, dtype=object)
    uneven[0], uneven[1] = rows
    encoder = build_encoder([PULSE])
    for column in (rows, uneven):
        encoded = encoder.encode(Table({"pulse": column}))["pulse"]
        assert encoded.tolist() == [[0, 0.5, 1, 1], [0.5, 0, 0.25, 0]]
    counts = encoder.counts(Table({"pulse": rows}))
    found = [int(counts[name][0]) for name in ("rows", "missing", "below", "above", "other")]
    assert found == [8, 1, 1, 1, 0]


def test_uneven_sequences_and_paths_ask_for_an_encoder():
    uneven = np.empty(2, dtype=object)
    uneven[0], uneven[1] = np.zeros(4), np.zeros(3)
    with pytest.raises(DataError, match="expected a numeric array of") as caught:
        build_encoder([PULSE]).encode(Table({"pulse": uneven}))
    assert "FieldEncoder" in caught.value.hint
    paths = np.array(["a.png"], dtype=object)
    with pytest.raises(DataError, match="'photo'"):
        build_encoder([PHOTO]).encode(Table({"photo": paths}))


def test_sizes_and_bounds_must_be_declared():
    with pytest.raises(ContractError, match="declares size"):
        build_encoder([Field(name="photo", kind="image")])
    with pytest.raises(ContractError, match="without bounds"):
        build_encoder([Field(name="pulse", kind="sequence", size=(4,))])


def test_a_field_encoder_is_found_by_field_before_kind():
    texts = Table(
        {
            "essay": np.array(["abc", None], dtype=object),
            "note": np.array(["a", "ab"], dtype=object),
        }
    )
    fields = [Field(name="essay", kind="text"), Field(name="note", kind="text")]
    encoders = {"text": Length(2), "note": Length(1, 3)}
    encoder = build_encoder(fields, encoders=encoders)
    blocks = encoder.encode(texts)
    assert blocks["essay"].tolist() == [[3, 3], [0, 0]]
    assert blocks["note"].shape == (2, 1, 3)
    assert encoder.counts(texts)["missing"].tolist() == [1, 0]
    again = encoder_from_settings(encoder.settings(), fields, encoders)
    assert np.array_equal(again.encode(texts)["essay"], blocks["essay"])


def test_an_encoded_time_joins_the_table():
    due = Field(name="due", kind="time")
    times = np.array(["2024-01-01", "NaT"], dtype="datetime64[us]")
    table = Table({"age": np.array([18.0, 100.0]), "due": times})
    encoder = fit_encoder([AGE, due], table, encoders={"time": Length(2)})
    assert encoder.inputs.where["due"] == ("table", slice(2, 4))
    assert encoder.encode(table)["table"].shape == (2, 4)
    assert encoder.counts(table)["missing"].tolist() == [0, 1]


def test_a_tabular_field_with_its_own_encoder_keeps_its_own_block():
    encoder = build_encoder([AGE], encoders={"age": Length(3)})
    assert encoder.inputs.shapes == {"age": (3,)}
    assert encoder.inputs.edges == {}


class Liar(Length):
    def encode(self, field: Field, column: np.ndarray) -> np.ndarray:
        return np.full((len(column), 1), np.nan)


@pytest.mark.parametrize(("shape", "message"), [((2,), "gave shape"), ((1,), "not finite")])
def test_an_encoder_is_held_to_its_word(shape, message):
    encoder = build_encoder([Field(name="essay", kind="text")], encoders={"text": Liar(*shape)})
    with pytest.raises(DataError, match=message):
        encoder.encode(Table({"essay": np.array(["a"], dtype=object)}))


def test_a_block_of_its_own_cannot_take_the_name_of_the_table():
    with pytest.raises(ContractError, match="cannot be named"):
        build_encoder([Field(name="table", kind="text")], encoders={"text": Length(2)})


def test_an_encoder_without_a_size_is_refused():
    with pytest.raises(ContractError, match="sizes of 1 or more"):
        build_encoder([Field(name="essay", kind="text")], encoders={"text": Length(0)})


@pytest.mark.parametrize("size", [(4, 5), (4, 5, 3)])
def test_no_image_at_all_is_encoded_as_none(size):
    field = Field(name="scan", kind="image", size=size, bounds=(0.0, 1.0))
    encoder = build_encoder((field,))
    blocks = encoder.encode(Table({"scan": np.zeros((0, *size))}, rows=0))
    assert blocks["scan"].shape == (0, 1 if len(size) == 2 else 3, 4, 5)
