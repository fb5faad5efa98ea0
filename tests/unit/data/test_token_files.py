"""Token files of nanoGPT and llm.c are read as they are."""

import json

import numpy as np
import pytest

from hornbook.data.token_files import PIECE_TOKENS, read_tokens
from hornbook.errors import DataError


def file(tmp_path, *arrays):
    path = tmp_path / "train.bin"
    path.write_bytes(b"".join(array.tobytes() for array in arrays))
    return path


def header(version, tokens):
    numbers = np.zeros(256, "<i4")
    numbers[:3] = 20240520, version, tokens
    return numbers


def test_bare_uint16_is_read(tmp_path):
    path = file(tmp_path, np.array([1, 2, 65535], "<u2"))
    ((where, tokens),) = read_tokens(path)
    assert (where, tokens.tolist()) == (f"{path}, token 0", [1, 2, 65535])


def test_a_long_file_comes_in_pieces(tmp_path):
    ids = np.arange(PIECE_TOKENS + 5).astype("<u2")
    path = file(tmp_path, ids)
    pieces = list(read_tokens(path))
    assert pieces[1][0] == f"{path}, token {PIECE_TOKENS}"
    np.testing.assert_array_equal(np.concatenate([tokens for _, tokens in pieces]), ids)


def test_the_header_of_llm_c_is_understood(tmp_path):
    path = file(tmp_path, header(1, 3), np.array([7, 8, 9], "<u2"))
    assert [tokens.tolist() for _, tokens in read_tokens(path)] == [[7, 8, 9]]


def test_a_sidecar_gives_the_dtype(tmp_path):
    path = file(tmp_path, np.array([70_000], "<u4"))
    path.with_suffix(".json").write_text('{"dtype": "uint32"}')
    assert [tokens.tolist() for _, tokens in read_tokens(path)] == [[70_000]]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ([np.zeros(3, "u1")], "holds 3 bytes, not a whole number of uint16 tokens"),
        ([header(1, 9), np.zeros(3, "<u2")], "should hold 9 tokens by its header, but holds 3"),
        ([header(7, 3), np.zeros(3, "<u2")], "llm.c header version 7"),
    ],
)
def test_what_is_cut_or_unknown_is_refused(tmp_path, data, reason):
    with pytest.raises(DataError, match=reason):
        list(read_tokens(file(tmp_path, *data)))


@pytest.mark.parametrize("text", [json.dumps({"dtype": "float32"}), "[]", "{"])
def test_a_sidecar_that_says_nothing_useful_is_refused(tmp_path, text):
    path = file(tmp_path, np.zeros(3, "<u2"))
    path.with_suffix(".json").write_text(text)
    with pytest.raises(DataError, match=r"train\.json (gives the dtype|is no JSON)"):
        list(read_tokens(path))


def test_an_empty_file_holds_no_tokens(tmp_path):
    assert list(read_tokens(file(tmp_path))) == []
