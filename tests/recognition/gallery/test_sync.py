"""What is new, changed, gone; and what it comes to whatever the order."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recognition.contract import Contract, Preprocessing
from recognition.gallery import sync as module
from recognition.gallery.answers import Faceless
from recognition.gallery.interface import Gallery
from recognition.gallery.sync import Item, carry_out, plan

CONTRACT = Contract("test", "ab" * 32, 3, Preprocessing())
item = st.builds(Item, st.sampled_from("ab"), st.sampled_from("123"), st.sampled_from("uvwxyz"))
folders = st.lists(item, max_size=8, unique_by=lambda one: (one.name, one.source))


def vector(one: Item) -> np.ndarray:
    return np.array([len(one.source), ord(one.name[0]), ord(one.digest[0])], np.float32)


def held(gallery: Gallery) -> set[tuple[str, str]]:
    return {(name, digest) for name, _, digest in gallery.known()}


@settings(max_examples=30)
@given(before=folders, after=folders)
def test_after_a_sync_with_delete_a_gallery_holds_what_the_folder_holds(
    tmp_path_factory: pytest.TempPathFactory, before: list[Item], after: list[Item]
) -> None:
    with Gallery.create(tmp_path_factory.mktemp("sync") / "g", CONTRACT) as gallery:
        for items in (before, after):
            planned = plan(gallery.known(), items)
            done = carry_out(gallery, planned, lambda wanted: map(vector, wanted), remove=True)
            owners = {
                one.digest: {x.name for x in items if x.digest == one.digest} for one in items
            }
            usable = {(x.name, x.digest) for x in items if len(owners[x.digest]) == 1}
            assert held(gallery) == usable
            assert len(done.added) + len(done.changed) + done.unchanged == len(usable)
            assert {person.name for person in gallery.people()} == {name for name, _ in usable}
        again = plan(gallery.known(), after)
        assert (again.added, again.changed, again.gone) == ((), (), ())


@pytest.fixture
def gallery(tmp_path: Path):
    with Gallery.create(tmp_path / "g", CONTRACT) as gallery:
        yield gallery


def sync(gallery: Gallery, *items: Item, **options):
    asked = []

    def embed(wanted):
        asked.extend(wanted)
        return map(vector, wanted)

    return carry_out(gallery, plan(gallery.known(), items), embed, **options), asked


def test_only_what_changed_is_embedded(gallery: Gallery) -> None:
    ada, bob = Item("ada", "1.jpg", "u"), Item("bob", "1.jpg", "v")
    sync(gallery, ada, bob)
    done, asked = sync(gallery, ada, bob._replace(digest="w"))
    assert asked == [Item("bob", "1.jpg", "w")] == list(done.changed)
    assert done.unchanged == 1
    assert held(gallery) == {("ada", "u"), ("bob", "w")}


def test_what_is_gone_stays_until_it_is_to_be_taken_out(gallery: Gallery) -> None:
    ada, bob = Item("ada", "1.jpg", "u"), Item("bob", "1.jpg", "v")
    sync(gallery, ada, bob)
    done, _ = sync(gallery, ada)
    assert (done.gone, done.removed, len(gallery)) == ((bob,), False, 2)
    done, _ = sync(gallery, ada, remove=True)
    assert (done.gone, done.removed, len(gallery)) == ((bob,), True, 1)


def test_a_photograph_that_was_renamed_is_the_same(gallery: Gallery) -> None:
    sync(gallery, Item("ada", "1.jpg", "u"))
    done, asked = sync(gallery, Item("ada", "2.jpg", "u"))
    assert (done.unchanged, done.gone, asked) == (1, (), [])


def test_who_was_enrolled_by_hand_is_left_alone(gallery: Gallery) -> None:
    gallery.enroll("eve", [1, 2, 3])
    done, _ = sync(gallery, Item("ada", "1.jpg", "u"), remove=True)
    assert done.gone == ()
    assert {person.name for person in gallery.people()} == {"ada", "eve"}
    assert gallery.discard("eve", [""]) == 0, "what is not known is nothing's digest"
    assert len(gallery) == 2


def test_a_picture_of_two_people_is_of_neither(gallery: Gallery) -> None:
    done, asked = sync(
        gallery,
        Item("ada", "ada/1.jpg", "u"),
        Item("bob", "bob/1.jpg", "u"),
        Item("bob", "bob/2.jpg", "v"),
        Item("bob", "bob/3.jpg", "v"),
    )
    assert asked == [Item("bob", "bob/2.jpg", "v")]
    assert sorted(done.skipped) == [
        ("ada/1.jpg", "pictures of 'ada', 'bob' are the same; keep one"),
        ("bob/3.jpg", "the same as bob/2.jpg"),
    ]


def test_a_picture_without_a_face_is_skipped_and_the_old_one_kept(gallery: Gallery) -> None:
    sync(gallery, Item("ada", "1.jpg", "u"))
    planned = plan(gallery.known(), [Item("ada", "1.jpg", "v"), Item("bob", "1.jpg", "w")])
    done = carry_out(gallery, planned, lambda wanted: iter(["no face"] * len(wanted)))
    assert done.skipped == (("1.jpg", "no face"),) * 2
    assert held(gallery) == {("ada", "u")}


def test_who_stops_it_keeps_the_people_who_are_done(gallery: Gallery) -> None:
    items = [Item(name, f"{name}.jpg", name) for name in "abc"]

    def embed(wanted):
        for one in wanted:
            if one.name == "c":
                raise KeyboardInterrupt
            yield vector(one)

    with pytest.raises(KeyboardInterrupt):
        carry_out(gallery, plan([], items), embed)
    assert held(gallery) == {("a", "a"), ("b", "b")}
    done, asked = sync(gallery, *items)
    assert (done.unchanged, [one.name for one in asked]) == (2, ["c"])


def test_who_is_killed_keeps_all_but_the_last_seconds(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.0)
    seen = []

    def embed(wanted):
        for one in wanted:
            seen.append(len(held(gallery)))
            yield vector(one)

    carry_out(gallery, plan([], [Item(name, f"{name}.jpg", name) for name in "abc"]), embed)
    assert seen == [0, 1, 2]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"settings": 1}', '{"reasons": [1]}', "{"])
def test_what_is_remembered_of_photographs_is_forgotten_where_it_is_damaged(text: str) -> None:
    assert Faceless.from_json(text) == Faceless()
    known = Faceless("1, faces from 0.95", {"ab": "no face"})
    assert Faceless.from_json(known.to_json()) == known
