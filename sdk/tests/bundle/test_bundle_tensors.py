"""Weights: our bytes are safetensors, and only sound safetensors are read."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import load, save

from verticals.bundle.tensors import MAX_HEADER_BYTES, pack_tensors, unpack_tensors
from verticals.errors import DataError

TYPES = ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u1", "?"]


def arrays():
    return st.sampled_from(TYPES).flatmap(
        lambda kind: hnp.arrays(
            kind,
            hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
            elements={"allow_nan": False, "allow_infinity": False} if kind[0] == "f" else None,
        )
    )


def packed(header, body=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@settings(deadline=None, max_examples=60)
@given(tensors=st.dictionaries(st.text(min_size=1, max_size=8), arrays(), max_size=5))
def test_what_is_packed_comes_back_and_the_library_reads_the_same(tensors):
    tensors = {name: array for name, array in tensors.items() if name != "__metadata__"}
    data = pack_tensors(tensors, what="weights")
    again = pack_tensors(dict(reversed(tensors.items())), what="weights")
    assert data == again
    for found in (unpack_tensors(data, what="weights"), load(data)):
        assert set(found) == set(tensors)
        for name, array in tensors.items():
            assert found[name].dtype == array.dtype
            assert found[name].shape == array.shape
            np.testing.assert_array_equal(found[name], array)


def test_what_the_library_writes_is_read():
    tensors = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.array([1, 2], np.int64)}
    found = unpack_tensors(save(tensors), what="weights")
    np.testing.assert_array_equal(found["w"], tensors["w"])
    np.testing.assert_array_equal(found["n"], tensors["n"])


def test_arrays_lie_where_their_type_wants_them():
    tensors = {"a": np.zeros(3, np.int8), "b": np.zeros(3), "c": np.zeros(3, np.float16)}
    for array in unpack_tensors(pack_tensors(tensors, what="weights"), what="weights").values():
        assert array.flags.aligned
        assert not array.flags.writeable


def test_layout_in_memory_and_byte_order_do_not_count():
    array = np.arange(6.0).reshape(2, 3)
    plain = pack_tensors({"w": array}, what="weights")
    assert pack_tensors({"w": np.asfortranarray(array)}, what="weights") == plain
    assert pack_tensors({"w": array.astype(">f8")}, what="weights") == plain
    assert pack_tensors({"w": np.repeat(array, 2, axis=0)[::2]}, what="weights") == plain


@pytest.mark.parametrize(
    "array", [np.zeros(1, np.complex64), np.zeros(1, np.uint32), np.zeros(1, np.longdouble)]
)
def test_other_types_are_not_packed(array):
    with pytest.raises(DataError, match="is of type"):
        pack_tensors({"w": array}, what="weights")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["f8", "f4", "f2"])
def test_numbers_that_are_not_finite_are_refused_on_both_ways(value, kind):
    array = np.array([1, value], kind)
    with pytest.raises(DataError, match=r"tensor 'w' has 1 value\(s\) that are not finite"):
        pack_tensors({"w": array}, what="weights")
    with pytest.raises(DataError, match=r"tensor 'w' has 1 value\(s\) that are not finite"):
        unpack_tensors(save({"w": array}), what="weights")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is truncated: 0 bytes"),
        (b"\0" * 7, "is truncated: 7 bytes"),
        (b"\0" * 8, "no plain JSON"),
        ((100).to_bytes(8, "little") + b"{}", "is truncated: its header has 100 bytes, 2 are"),
        ((MAX_HEADER_BYTES + 1).to_bytes(8, "little") + b"{}", "has a header of 8388609 bytes"),
        ((10**8 + 1).to_bytes(8, "little") + b"{}", "has a header of 100000001 bytes"),
        (b"\xff" * 8 + b"{}", "has a header of 18446744073709551615 bytes"),
        (packed([]), "header is list"),
        (packed(b'{"a": NaN}'), "NaN"),
        (packed(b'{"a": 1, "a": 2}'), "stands twice"),
        (packed(b"[" * 9999), "nested too deeply"),
        (packed({"w": entry()}, bytes(7)), "is truncated: tensor 'w' ends at byte 8 of 7"),
        (packed({"w": entry(offsets=(0, 2**63))}), "expected 8 for its shape"),
        (packed({"w": entry(shape=(2**61,), offsets=(0, 2**63))}), "which no array has"),
        (packed({"w": entry(shape=(2**40,), offsets=(0, 2**42))}), "is truncated"),
        (packed({"w": entry()}, bytes(9)), "1 bytes that no tensor uses"),
        (packed({"w": entry(offsets=(4, 12))}, bytes(12)), "leaves bytes unused"),
        (packed({"v": entry(), "w": entry()}, bytes(8)), "overlaps another"),
        (packed({"v": entry(), "w": entry(offsets=(4, 12))}, bytes(12)), "overlaps another"),
        (packed({"w": entry(offsets=(0, 4))}, bytes(4)), "has 4 bytes, expected 8"),
        (packed({"w": entry(offsets=(8, 0))}, bytes(8)), "has -8 bytes, expected 8"),
        (packed({"w": entry(offsets=(-8, 0))}), "expected two counts"),
        (packed({"w": entry(offsets=(0, 8, 8))}, bytes(8)), "expected two counts"),
        (packed({"w": entry(offsets=(0, 8.0))}, bytes(8)), "expected two counts"),
        (packed({"w": entry(offsets=(False, 8))}, bytes(8)), "expected two counts"),
        (packed({"w": entry(shape=(-2,))}, bytes(8)), "has shape"),
        (packed({"w": entry(shape=(True, 2))}, bytes(8)), "has shape"),
        (packed({"w": entry(shape=(1,) * 17 + (2,))}, bytes(8)), "has shape"),
        (packed({"w": entry(shape=(0, 2**62), offsets=(0, 0))}), "which no array has"),
        (packed({"w": entry(dtype="BF16", shape=(4,))}, bytes(8)), "is of dtype 'BF16'"),
        (packed({"w": entry(dtype="U64", shape=(1,))}, bytes(8)), "is of dtype 'U64'"),
        (packed({"w": entry(dtype=["F32"])}, bytes(8)), "is of dtype"),
        (packed({"w": entry(dtype="BOOL", shape=(8,))}, b"\2" * 8), "neither 0 nor 1"),
        (packed({"w": {"dtype": "F32"}}), "has no entry of"),
        (packed({"w": {**entry(), "extra": 1}}, bytes(8)), "has no entry of"),
        (packed({"w": 3}), "has no entry of"),
        (packed({"__metadata__": {"a": "b"}}), "has no entry of"),
        (packed({"w" * 9999: 3}), r"tensor 'www\S+ \.\.\. has no entry"),
    ],
)
def test_unsound_files_are_refused(data, message):
    with pytest.raises(DataError, match=message) as caught:
        unpack_tensors(data, what="weights")
    assert len(caught.value.message) < 300


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_no_mutation_raises_anything_else(data):
    whole = bytearray(pack_tensors({"w": np.ones((2, 2)), "b": np.ones(3, "?")}, what="w"))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    for changed in (bytes(whole), bytes(whole[:cut])):
        try:
            found = unpack_tensors(changed, what="weights")
        except DataError:
            continue
        assert sum(array.nbytes for array in found.values()) <= len(changed)
