"""Recordings are found under the name of another list, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxid.data.recording_names import locate
from voxid.errors import DataError


def found(asked: list[str], held: list[str], **more) -> list[int]:
    return locate(asked, held, what="the list", where="the file", **more).tolist()


@pytest.mark.parametrize(
    ("asked", "held", "expected"),
    [
        (["b", "a"], ["a", "b"], [1, 0]),
        (["s/a.wav"], ["corpus/s/a.wav", "corpus/t/a.wav"], [0]),
        (["/root/corpus/s/a.wav"], ["s/a.wav", "t/a.wav"], [0]),
        (["./a.wav"], ["x/a.wav"], [0]),
        (["a.wav"], ["ba.wav", "b/a.wav"], [1]),  # whole parts of a path only
        (["s/a.wav", "x/t/a.wav"], ["x/s/a.wav", "t/a.wav"], [0, 1]),
        (["a.wav"], ["a.wav", "x/a.wav"], [0]),  # the same name goes first
    ],
)
def test_names_are_found(asked: list[str], held: list[str], expected: list[int]) -> None:
    assert found(asked, held) == expected


@pytest.mark.parametrize(
    ("asked", "held", "words"),
    [
        (["c"], ["a"], ["1 of 1", "'c'", "'a'", "the file"]),
        (["a.wav"], ["x/a.wav", "y/a.wav"], ["x/a.wav", "y/a.wav", "whole paths"]),
        (["x/a.wav", "y/a.wav"], ["a.wav"], ["x/a.wav", "y/a.wav", "whole paths"]),
        (["a.wav", "y/a.wav"], ["a.wav"], ["y/a.wav"]),
        (["a"], [], ["'a'"]),
    ],
)
def test_what_may_be_two_or_none_is_an_error(asked: list[str], held: list[str], words: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        found(asked, held)
    assert caught.value.code == "E_NAMES"
    assert all(word in str(caught.value) for word in words)


def test_the_same_file_goes_before_the_end_of_a_path(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    places = [str(Path(tmp_path, name)) for name in ("one/a.wav", "two/a.wav")]
    assert found(["two/a.wav", "one/../one/a.wav"], ["a.wav", "b.wav"], places=places) == [1, 0]


paths = st.lists(st.lists(st.sampled_from("ab"), min_size=1, max_size=4).map("/".join), min_size=1, max_size=5, unique=True)


@given(asked=paths, held=paths)
def test_an_answer_is_the_only_one_possible(asked: list[str], held: list[str]) -> None:
    try:
        places = found(asked, held)
    except DataError:
        return
    assert len(set(places)) == len(places)
    for name, place in zip(asked, places, strict=True):
        other = held[place]
        if name != other:
            assert f"/{name}".endswith(f"/{other}") or f"/{other}".endswith(f"/{name}")
            assert [here for here in held if f"/{here}".endswith(f"/{name}")] in ([], [other])
