"""Where a gallery on Milvus is."""

import pytest
from fuzz import refused
from hypothesis import given
from hypothesis import strategies as st

from recognition.errors import InputError
from recognition.gallery.milvus_address import Address, is_milvus


@pytest.mark.parametrize(
    ("text", "address", "shown"),
    [
        (
            "milvus://host/people",
            Address("http://host:19530", "people"),
            "milvus://host:19530/people",
        ),
        (
            "milvus+tls://10.0.0.1:443/_p1?index=hnsw&database=faces",
            Address("https://10.0.0.1:443", "_p1", "hnsw", "faces"),
            "milvus+tls://10.0.0.1:443/_p1?database=faces",
        ),
        ("milvus://[::1]:1/p", Address("http://[::1]:1", "p"), "milvus://[::1]:1/p"),
        (
            "milvus:///a/b%20c.db/people?index=ivf",
            Address("/a/b c.db", "people", "ivf"),
            "milvus:///a/b%20c.db/people",
        ),
    ],
)
def test_an_address_says_where_and_how(text: str, address: Address, shown: str) -> None:
    assert is_milvus(text)
    assert Address.parse(text) == address
    assert str(address) == shown
    assert Address.parse(shown) == address._replace(kind="flat"), "it can be read again"


@pytest.mark.parametrize(
    "text",
    [
        "milvus://host",
        "milvus://host/",
        "milvus://host/9people",
        "milvus://host/a-b",
        "milvus://host/people' or 1=1",
        "milvus://host/database/people",
        "milvus://host:port/people",
        "milvus://host:99999/people",
        "milvus://[host/people",
        "milvus:///file.txt/people",
        "milvus:///people",
        "milvus://host/people?index=magic",
        "milvus://host/people?token=secret",
        "milvus://host/people?database=a%20b",
        "milvus://host/" + "x" * 201,
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"milvus://host:port/name"):
        Address.parse(text)


@pytest.mark.parametrize("user", ["root:SECRET@", "SECRET@", ":SECRET@"])
def test_a_password_has_no_place_in_an_address_and_is_not_shown(user: str) -> None:
    with pytest.raises(InputError, match="MILVUS_TOKEN") as caught:
        Address.parse(f"milvus://{user}host/people")
    assert "SECRET" not in str(caught.value)


def test_folders_are_not_on_milvus() -> None:
    for where in ("people.gallery", "milvus", "milvus/people", "C:/people", "http://host/people"):
        assert not is_milvus(where)


PIECES = st.sampled_from(
    ["host", ":", "1", "/", "//", "people", "a.db", "..", "?", "index=ivf", "&", "database=d", "#",
     "[", "]", "::1", "%2e", "%00", "\0", "\n", "é", " ", "'", "="]
)  # fmt: skip


@given(
    st.one_of(st.text(), st.lists(PIECES).map("".join)),
    st.sampled_from(
        ["milvus://", "milvus+tls://", "milvus:///", "milvus://h:1/", "milvus:///a.db/"]
    ),
)
def test_any_text_is_an_address_or_refused_in_a_sentence(text: str, scheme: str) -> None:
    refused(
        lambda: Address.parse(scheme + text),
        lambda address: Address.parse(str(address)) == address._replace(kind="flat"),
    )


def test_what_was_said_in_place_of_an_index_is_not_shown() -> None:
    for text in ("milvus://host/people?token=SECRET", "milvus://u:SECRET@[host/people"):
        with pytest.raises(InputError) as caught:
            Address.parse(text)
        assert "SECRET" not in str(caught.value)
