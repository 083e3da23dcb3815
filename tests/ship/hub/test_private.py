"""Which texts are paths of a machine, and what stays of them."""

import pytest

from reslab.ship.hub.card import license_of, yaml
from reslab.ship.hub.private import cleaned, name_only, without_paths


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("/home/me/photos", "photos"),
        ("/home/me/my photos/", "my photos"),
        ("~/photos/birds", "birds"),
        (r"C:\Users\me\photos", "photos"),
        ("Images of /home/me/photos, unchanged.", "Images of photos, unchanged."),
        ("reslab train --data=/data/birds --out ~/runs/x", "reslab train --data=birds --out x"),
        ("see https://example.org/a/b, 3/4 of and/or", "see https://example.org/a/b, 3/4 of and/or"),
        ("runs/x", "runs/x"),  # a relative path in a sentence says nothing of this machine
        ("1 / 2 / 3", "1 / 2 / 3"),
        ("/", "/"),
    ],
)
def test_paths_are_shortened_to_their_last_part(text: str, kept: str) -> None:
    assert without_paths(text) == kept


def test_values_that_are_meant_stay() -> None:
    data = {"classes": ["/m/01yrx"], "columns": [{"values": ["/a/b"]}], "name": "/a/b", "more": [{"x": "/a/b"}]}
    assert cleaned(data) == {**data, "name": "b", "more": [{"x": "b"}]}


def test_words_for_data() -> None:
    words = ("digits", "hf:a/b", "../x/y.csv", "/a/b.csv")
    assert [name_only(word) for word in words] == ["digits", "hf:a/b", "y.csv", "b.csv"]


def test_licenses_in_the_hubs_words() -> None:
    assert license_of("Apache-2.0") == {"license": "apache-2.0"}
    assert license_of("GPL-3.0-or-later") == {"license": "gpl-3.0"}
    assert license_of("EUPL-9") == {"license": "other", "license_name": "EUPL-9"}
    assert license_of("") == {}


def test_yaml_is_read_back() -> None:
    read = pytest.importorskip("yaml").safe_load
    data = {"a": "x: 'y' # \"z\"", "b": [1, 2.5, "no", {"c": [{"d": None}, {"e": "ä\n"}], "f": True}], "g": []}
    assert read(yaml(data)) == data
