"""CSV files: encodings, delimiters, types, and every way in which a file can be wrong."""

from __future__ import annotations

import traceback

import numpy as np
import pytest

from verticals.data import iter_tables, read_table
from verticals.errors import CallError, DataError, VerticalsError


@pytest.fixture
def write(tmp_path):
    def put(content: bytes | str, name: str = "rows.csv"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return put


def column(path, name="a", **options):
    return read_table(path, **options).table[name]


def refused(path, **options) -> DataError:
    """Return the error; `iter_tables` must refuse at the call, in the same words."""
    with pytest.raises(VerticalsError) as first:
        read_table(path, **options)
    with pytest.raises(VerticalsError) as second:
        iter_tables(path, **options)
    assert first.value.message == second.value.message
    assert "\n" not in first.value.message
    assert first.value.hint
    return first.value


# Types


def test_each_kind_of_column_gets_its_plain_numpy_type(write):
    table = read_table(
        write(
            "i,f,b,t,d,z\n1,1.5,true,x,2020-01-02,2020-01-02T03:04:05+02:00\n2,2,False,y,2020-01-03,2020-01-02T00:00:00Z\n"
        )
    ).table
    assert [table[name].dtype for name in table] == [
        np.int64,
        np.float64,
        np.bool_,
        np.dtype(object),
        np.dtype("datetime64[us]"),
        np.dtype("datetime64[us]"),
    ]
    assert table["i"].tolist() == [1, 2]
    assert table["b"].tolist() == [True, False]
    assert table["z"][0] == np.datetime64("2020-01-02T01:04:05")


def test_missing_values_take_the_form_of_their_kind(write):
    table = read_table(
        write("i,f,b,t,d,n\n1,NaN,true,,2020-01-02,\nNA,1.5,N/A,NA,null,NULL\n3,2,true,x,,\n")
    ).table
    np.testing.assert_array_equal(table["i"], [1.0, np.nan, 3.0])
    np.testing.assert_array_equal(table["f"], [np.nan, 1.5, 2.0])
    assert table["b"].tolist() == [True, None, True]
    assert table["t"].tolist() == [None, "NA", "x"]  # text keeps what only numbers call missing
    assert np.isnat(table["d"]).tolist() == [False, True, True]
    assert table["n"].dtype == np.float64
    assert np.isnan(table["n"]).all()


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["007", "12"], [7, 12]),
        (["0x1F", "2"], ["0x1F", "2"]),  # a code, not thirty-one
        (["1", "true"], ["1", "true"]),
        (["2020-01-01", "2020"], ["2020-01-01", "2020"]),
        (["2020-01-01T00:00:00Z", "2020-01-01"], ["2020-01-01T00:00:00Z", "2020-01-01"]),
        ([" 1", "2 "], [1, 2]),
        (["1e3", ".5"], [1000.0, 0.5]),
        (["12:30", "13:00"], ["12:30", "13:00"]),
        (["2,5", "3"], ["2,5", "3"]),
    ],
)
def test_a_column_is_what_all_of_its_cells_are(write, cells, expected):
    text = "a,b\n" + "".join(f'"{cell}",0\n' for cell in cells)
    assert column(write(text)).tolist() == expected


@pytest.mark.parametrize("other", ["", "0.5"])
def test_long_integers_are_not_rounded_beside_missing_values_or_fractions(write, other):
    exact = column(write(f"a,b\n1234567890123456789,0\n{other},0\n"))
    assert exact[0] == "1234567890123456789"
    assert column(write("a,b\n1234567890123456789,0\n3,0\n")).tolist() == [1234567890123456789, 3]


def test_text_columns_are_read_as_text_and_keep_leading_zeros(write):
    path = write("a,b\n007,1\n,2\n")
    assert column(path, text_columns=["a", "absent"]).tolist() == ["007", None]
    assert column(path, "b", text_columns=["a"]).tolist() == [1, 2]


def test_quotes_hold_delimiters_newlines_and_doubled_quotes(write):
    path = write('a,b\n"x, y\nz ""q""",1\n"",2\n')
    assert column(path).tolist() == ['x, y\nz "q"', None]


def test_a_quote_within_an_unquoted_value_is_text(write):
    assert column(write('a,b\n5" pipe,1\nx,2\n')).tolist() == ['5" pipe', "x"]


def test_names_lose_outer_blanks_and_nameless_columns_get_one(write):
    loaded = read_table(write(", age ,b\n1,2,3\n"))
    assert list(loaded.table) == ["column_1", "age", "b"]
    (note,) = loaded.notes
    assert (note.kind, note.count) == ("header", 1)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_and_blank_lines(write, end):
    path = write(end.join(["", "", "a,b", "1,2", "", "3,4", ""]))
    assert column(path).tolist() == [1, 3]


def test_the_last_line_needs_no_end(write):
    assert column(write("a,b\n1,2\n3,4")).tolist() == [1, 3]


# Encodings


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_utf_is_found_without_a_word(write, encoding):
    loaded = read_table(write("a,b\n1,2\n姓名é,3\n".encode(encoding)))
    assert list(loaded.table) == ["a", "b"]
    assert loaded.table["a"].tolist() == ["1", "姓名é"]
    assert loaded.notes == ()


def test_big_endian_utf16_is_found_by_its_mark(write):
    content = b"\xfe\xff" + "a,b\n姓,3\n".encode("utf-16-be")
    assert column(write(content)).tolist() == ["姓"]


@pytest.mark.parametrize("encoding", ["gbk", "gb18030"])
def test_chinese_encodings_are_read_with_a_counted_note(write, encoding):
    loaded = read_table(write("a,b\n1,2\n姓名,3\n张伟,4\n".encode(encoding)))
    assert loaded.table["a"].tolist() == ["1", "姓名", "张伟"]
    (note,) = loaded.notes
    assert (note.kind, note.count) == ("encoding", 2)
    assert "GB18030" in note.message
    assert "line 3" in note.message


def test_western_text_is_not_taken_for_chinese(write):
    # "ül" in cp1252 is one valid GBK character
    content = "a,b\n1,2\nMüller,3\n".encode("cp1252")
    assert content.decode("gb18030")
    error = refused(write(content))
    assert "line 3" in error.message
    assert "--encoding" in error.hint
    assert column(write(content), encoding="cp1252").tolist() == ["1", "Müller"]


def test_an_explicit_encoding_wins(write):
    content = "a,b\n姓,1\n".encode("gb18030")
    loaded = read_table(write(content), encoding="latin-1")
    assert loaded.table["a"].tolist() == [content[4:6].decode("latin-1")]
    assert loaded.notes == ()


@pytest.mark.parametrize("encoding", ["utf-8", "UTF8", "utf-8-sig", "utf_16", "utf-16-le"])
def test_an_explicit_encoding_may_or_may_not_have_its_mark(write, encoding):
    plain = "utf-16-le" if "16" in encoding else "utf-8"
    assert column(write("a,b\n姓,1\n".encode(plain)), encoding=encoding).tolist() == ["姓"]
    if encoding != "utf-16-le":
        marked = "\ufeffa,b\n姓,1\n".encode(plain)
        assert column(write(marked), encoding=encoding).tolist() == ["姓"]


@pytest.mark.parametrize("encoding", ["nope", "rot13", "base64", ""])
def test_an_unknown_encoding_is_named(write, encoding):
    error = refused(write("a\n1\n"), encoding=encoding)
    assert isinstance(error, CallError)
    assert repr(encoding) in error.message


def test_undecodable_bytes_are_named_by_line(write):
    error = refused(write(b"a,b\n1,2\n\xff\xff,3\n"))
    assert "line 3" in error.message
    error = refused(write(b"a,b\n1,2\n3,\x81\n"), encoding="cp1252")
    assert "line 3" in error.message
    assert "cp1252" in error.message


def test_the_line_of_a_bad_byte_is_counted_across_blocks(write, monkeypatch):
    monkeypatch.setattr("verticals.data.encoding.BLOCK", 7)
    for encoding, bad in (("utf-8", b"\xff"), ("utf-16-le", b"\x00\xd8\x00\x00")):
        content = ("a,b\r\n" + "é,2\r\n" * 50).encode(encoding) + bad + "\n".encode(encoding)
        assert "line 52" in refused(write(content), encoding=encoding).message


# Delimiters


@pytest.mark.parametrize(("delimiter", "word"), [(";", "semicolon"), ("\t", "tab")])
def test_semicolon_and_tab_are_found_and_noted(write, delimiter, word):
    loaded = read_table(write(delimiter.join(['"x, y"', "b"]) + "\n" + delimiter.join("12") + "\n"))
    assert list(loaded.table) == ["x, y", "b"]
    (note,) = loaded.notes
    assert note.kind == "delimiter"
    assert word in note.message


def test_the_comma_wins_a_tie(write):
    loaded = read_table(write("a;x,b\n1,2\n"))
    assert list(loaded.table) == ["a;x", "b"]
    assert loaded.notes == ()


# What cannot be read


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", ["empty"]),
        (b"\n \n", ["empty"]),
        (b"\xef\xbb\xbf", ["empty"]),
        (b"a,b\n", ["header", "line 1", "no rows"]),
        (b"a,b", ["header", "line 1", "no rows"]),
        (b"\na,b\n\n", ["header", "line 2", "no rows"]),
        (b"a,b, a\n1,2,3\n", ["'a'", "columns 1, 3"]),
        (b"a,b\n1,2\n3\n", ["row 2 (line 3)", "1 value(s)", "expected 2"]),
        (b'a,b\n"1\n",2\n\n3,4,5\n', ["row 2 (line 5)", "3 value(s)", "expected 2"]),
        (b'"a\nb",c\n1\n', ["row 1 (line 3)", "1 value(s)", "expected 2"]),
        (b"a,b\n1,\x002\n", ["line 2", "NUL"]),
        (b'a,b\n1,"2\n3,4\n', ["line 2", "never closed"]),
        (b'a,b\n1,"2\n3,4\n5,"6\n', ["line 4", "after a closing quote"]),
        (b'a,b\n1,"x"y\n', ["line 2", "after a closing quote"]),
        (b'\n"a,b\n1,2\n', ["line 2", "header"]),
    ],
)
def test_a_broken_file_says_what_and_where(write, content, says):
    path = write(content)
    error = refused(path)
    for words in (*says, str(path)):
        assert words in error.message


def test_utf16_without_a_mark_gets_the_right_hint(write):
    for text in ("a,b\n1,2\n", "a,b\n姓,2\n"):
        assert "utf-16-le" in refused(write(text.encode("utf-16-le"))).hint


def test_an_endless_line_is_refused(write, monkeypatch):
    monkeypatch.setattr("verticals.data.encoding.BLOCK", 1 << 10)
    error = refused(write("a,b\n1,2\n" + "x" * 5000 + ",3\n"))
    assert "line 3" in error.message


def test_a_row_too_long_for_a_block_is_refused(write, monkeypatch):
    monkeypatch.setattr("verticals.data.delimited.BLOCK", 1 << 10)
    error = refused(write('a,b\n1,2\n"' + "x\n" * 4000 + '",3\n'))
    assert "a row is longer" in error.message


@pytest.mark.parametrize(
    "content", [b"a,b\n1,SECRET\n2\n", b'a,b\n1,"SECRET\n', b"a,b\n\xff,SECRET\n"]
)
def test_no_error_shows_a_value_not_even_in_its_traceback(write, content):
    path = write(content)
    with pytest.raises(DataError) as caught:
        read_table(path)
    shown = "".join(traceback.format_exception(caught.value))
    assert "SECRET" not in shown
    assert "pyarrow.lib" not in shown
