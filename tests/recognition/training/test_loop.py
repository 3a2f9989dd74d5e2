import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from margin_losses import MarginHead
from recognition.backbones import Standardisation, create_backbone, find_backbone
from recognition.datasets.drawn import draw_faces
from recognition.datasets.pictures import Pictures
from recognition.errors import InputError
from recognition.training import loop, recipe
from recognition.training.augment import to_input
from recognition.training.loop import embed, train
from recognition.training.recipe import Recipe

SHORT = Recipe(steps=4, batch_size=10)
HEADS = ("softmax:s=1", "arcface:m=0.4,s=12", "lsoftmax:m=2+annealed")


@pytest.fixture(scope="module")
def faces():
    return draw_faces(6, 6, size=64)


@pytest.fixture(scope="module")
def trained(faces):
    return train(faces, "arcface:m=0.4,s=12", SHORT, seed=3)


@pytest.fixture(scope="module")
def long(faces):
    """Long enough to have learned something."""
    return train(faces, "normface:s=8", Recipe(steps=40, batch_size=18))


def tensors(found):
    return [*found.backbone.state_dict().values(), *found.head.state_dict().values()]


def test_training_reduces_the_loss(long):
    assert long.losses[-5:].mean() < 0.4 * long.losses[:5].mean()


def test_what_was_learned_is_who_is_who(faces, long):
    with torch.inference_mode():
        logits = long.head.logits(torch.from_numpy(embed(long.backbone, faces.images)))
    said = long.people[logits.argmax(1).numpy()]
    assert (said == faces.labels).mean() > 0.9


def test_training_leaves_both_in_evaluation_mode_and_says_what_it_did(faces, trained):
    assert not trained.backbone.training
    assert not trained.head.training
    assert trained.people.tolist() == faces.people.tolist()
    assert trained.head.num_classes == 6
    assert trained.losses.shape == (4,)
    assert trained.losses.dtype == np.float32
    assert trained.seconds > 0


def test_equal_seeds_give_equal_bits_whatever_the_global_generator_was(faces, trained):
    with torch.random.fork_rng():
        torch.manual_seed(12345)
        again = train(faces, "arcface:m=0.4,s=12", SHORT, seed=3)
    assert again.losses.tobytes() == trained.losses.tobytes()
    assert all(torch.equal(a, b) for a, b in zip(tensors(again), tensors(trained), strict=True))


def test_another_seed_gives_other_weights(faces, trained):
    other = train(faces, "arcface:m=0.4,s=12", SHORT, seed=4)
    assert (other.losses != trained.losses).all()


def test_the_global_generator_is_left_as_it_was(faces):
    before = torch.get_rng_state()
    train(faces, "softmax", Recipe(steps=1, batch_size=4))
    assert torch.equal(torch.get_rng_state(), before)

    def stop(step, loss):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(faces, "softmax", SHORT, progress=stop)
    assert torch.equal(torch.get_rng_state(), before)


class Spy:
    """Writes down what two trainings start from and see."""

    def __init__(self, monkeypatch):
        self.starts, self.batches, self.labels = [], [], []
        create, change = loop.create_backbone, loop.augment
        spy = self

        class Watched(MarginHead):
            def __init__(self, *args, **options):
                super().__init__(*args, **options)
                spy.starts.append(self.weight.detach().clone())

            def forward(self, embeddings, labels):
                spy.labels.append(labels.clone())
                return super().forward(embeddings, labels)

        def created(name):
            network = create(name)
            spy.starts.append(torch.cat([p.detach().flatten() for p in network.parameters()]))
            return network

        def augmented(*args):
            spy.batches.append(change(*args))
            return spy.batches[-1]

        monkeypatch.setattr(loop, "MarginHead", Watched)
        monkeypatch.setattr(loop, "create_backbone", created)
        monkeypatch.setattr(loop, "augment", augmented)


@pytest.fixture
def spy(monkeypatch):
    return Spy(monkeypatch)


def test_heads_with_one_seed_start_alike_and_see_the_same_batches(faces, spy):
    losses = [train(faces, head, SHORT, seed=7).losses for head in HEADS]
    for seen in (spy.starts, spy.batches, spy.labels):
        each = np.array_split(np.arange(len(seen)), len(HEADS))
        for others in each[1:]:
            assert len(others) == len(each[0])
            for i, j in zip(each[0], others, strict=True):
                assert torch.equal(seen[i], seen[j])
    assert len({one.tobytes() for one in losses}) == len(HEADS)


def test_an_epoch_holds_every_picture_at_most_once_with_its_own_person(faces, spy):
    recipe = Recipe(
        steps=6, batch_size=10, mirror=False, turn=0.0, zoom=0.0, shift=0.0, light=0.0
    )  # 36 pictures: three batches an epoch, six pictures wait for another one
    train(faces, "softmax", recipe)
    inputs = to_input(torch.from_numpy(faces.images))
    codes = np.unique(faces.labels, return_inverse=True)[1]
    rows = []
    for batch, labels in zip(spy.batches, spy.labels, strict=True):
        apart = (batch[:, None] - inputs).flatten(2).norm(dim=2)
        rows.append(apart.argmin(1))
        assert apart.min(1).values.max() < 0.01
        assert codes[rows[-1]].tolist() == labels.tolist()
    epochs = torch.cat(rows[:3]).tolist(), torch.cat(rows[3:]).tolist()
    assert len(set(epochs[0])) == len(set(epochs[1])) == 30
    assert epochs[0] != epochs[1]


def test_a_batch_is_never_larger_than_there_are_pictures(faces, spy):
    train(faces, "softmax", Recipe(steps=2, batch_size=500))
    assert [len(batch) for batch in spy.batches] == [36, 36]


def test_class_weights_do_not_decay_and_matrices_do():
    backbone, head = create_backbone("small"), MarginHead(128, 3, "softmax")
    decays = {
        id(p): group["weight_decay"]
        for group in loop._groups(backbone, head, Recipe(weight_decay=0.3))
        for p in group["params"]
    }
    assert decays.pop(id(head.weight)) == 0
    assert decays == {id(p): 0.3 * (p.ndim > 1) for p in backbone.parameters()}


def test_the_learning_rate_is_the_recipes(faces, monkeypatch):
    rates = []

    class Watched(torch.optim.AdamW):
        def step(self, *args):
            rates.append([group["lr"] for group in self.param_groups])
            return super().step(*args)

    monkeypatch.setattr(torch.optim, "AdamW", Watched)
    train(faces, "softmax", SHORT)
    assert rates == [[SHORT.lr_at(step)] * 2 for step in range(4)]


def test_progress_is_told_after_every_step(faces, trained):
    told = []
    train(faces, "arcface:m=0.4,s=12", SHORT, seed=3, progress=lambda *now: told.append(now))
    assert told == [(step + 1, float(loss)) for step, loss in enumerate(trained.losses)]


def test_a_loss_that_is_not_finite_is_refused(faces, monkeypatch):
    def lost(self, embeddings, labels):
        return embeddings.sum() * torch.nan

    monkeypatch.setattr(MarginHead, "forward", lost)
    with pytest.raises(InputError, match=r"ArcFace.* has run away: at step 0"):
        train(faces, "arcface:m=0.4", SHORT)


def test_a_learning_rate_that_breaks_the_network_is_refused(faces, monkeypatch):
    monkeypatch.setitem(recipe.LARGEST, "lr", 1e9)
    with pytest.raises(InputError, match="learning rate"):
        train(faces, "softmax", Recipe(steps=6, batch_size=10, lr=1e6))


def test_pictures_of_another_size_are_refused_before_any_work(faces, monkeypatch):
    monkeypatch.setattr(loop, "create_backbone", None)
    small = draw_faces(2, 2, size=32)
    with pytest.raises(InputError, match=r"small takes .* of 64 x 64 x 3, got \(4, 32, 32, 3\)"):
        train(small, "softmax", SHORT)
    one = Pictures(faces.images[:1], faces.labels[:1], faces.ids[:1], "")
    with pytest.raises(InputError, match="two pictures or more"):
        train(one, "softmax", SHORT)


def test_an_unknown_backbone_is_refused(faces):
    with pytest.raises(InputError, match="known: small"):
        train(faces, "softmax", dataclasses.replace(SHORT, backbone="large"))


def test_embeddings_do_not_depend_on_the_batch_size(faces, trained):
    whole = embed(trained.backbone, faces.images)
    assert whole.shape == (36, 128)
    assert whole.dtype == np.float32
    for batch_size in (1, 5, 36):
        found = embed(trained.backbone, faces.images, batch_size=batch_size)
        np.testing.assert_allclose(found, whole, atol=1e-5)


def test_embedding_leaves_the_network_in_evaluation_mode_and_unchanged(faces):
    network = create_backbone("small").train()
    before = [value.clone() for value in network.state_dict().values()]
    first = embed(network, faces.images)
    assert not network.training
    assert all(
        torch.equal(a, b) for a, b in zip(before, network.state_dict().values(), strict=True)
    )
    assert first.tobytes() == embed(network, faces.images).tobytes()


def test_embeddings_are_what_the_network_gives_for_prepared_pictures(faces):
    class Mean(nn.Module):
        def __init__(self):
            super().__init__()
            self.gain = nn.Parameter(torch.full((), 10.0))

        def forward(self, pictures):
            return self.gain * pictures.mean((2, 3))

    expected = 10 * (faces.images.mean((1, 2)) - 127.5) / 128  # not normalised
    np.testing.assert_allclose(embed(Mean(), faces.images), expected, atol=1e-4)


@pytest.mark.parametrize(("backbone", "white"), [("mobilefacenet", 1.0), ("small", 127.5 / 128)])
def test_pictures_are_prepared_as_the_backbone_has_it(monkeypatch, backbone, white):
    side = find_backbone(backbone).input_size
    names = np.array(list("aabb"))
    white_faces = np.full((4, side, side, 3), 255, np.uint8)
    faces = Pictures(white_faces, names, np.arange(4).astype(str), "made up")
    seen = []
    change = loop.augment
    monkeypatch.setattr(
        loop, "augment", lambda batch, *rest: seen.append(batch) or change(batch, *rest)
    )
    train(faces, "normface:s=8", Recipe(backbone=backbone, steps=1, batch_size=2))
    assert (seen[0] == white).all()


def test_embedding_prepares_pictures_as_it_is_told(faces):
    class First(nn.Module):
        def __init__(self):
            super().__init__()
            self.gain = nn.Parameter(torch.ones(()))

        def forward(self, pictures):
            return self.gain * pictures[:, :, 0, 0]

    found = embed(First(), faces.images, standardisation=Standardisation(100.0, 50.0))
    np.testing.assert_allclose(found, (faces.images[:, 0, 0] - 100.0) / 50, atol=1e-6)


def test_embedding_tells_how_many_pictures_are_done(faces, trained):
    told = []
    embed(trained.backbone, faces.images, batch_size=16, progress=told.append)
    assert told == [16, 32, 36]
