"""A linear map of embeddings and its file."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save, save_file

from recognition.contract import Contract, Preprocessing
from recognition.errors import InputError
from recognition.training.projection import (
    KEY,
    Projection,
    identity,
    principal,
    read_projection,
    save_projection,
)

RANDOM = np.random.default_rng(0)
X = (RANDOM.normal(size=(50, 6)) * RANDOM.lognormal(size=(50, 1))).astype(np.float32)
CONTRACT = Contract("net", "ab" * 32, 6, Preprocessing(), licence="MIT")


def some(bias: bool = True, contract: Contract | None = CONTRACT) -> Projection:
    random = np.random.default_rng(1)
    weight = random.normal(size=(4, 6)).astype(np.float32)
    shift = random.normal(size=4).astype(np.float32) if bias else None
    return Projection(weight, shift, contract, {"head": "arcface", "people": 3})


def test_the_identity_leaves_every_bit() -> None:
    assert identity(6).is_identity
    assert identity(6).apply(X).tobytes() == X.tobytes()
    assert not replace(identity(6), bias=np.ones(6, np.float32)).is_identity
    assert not some().is_identity


def test_each_row_is_projected_by_itself_and_lengths_go_along() -> None:
    projection = some()
    whole = projection.apply(X)
    assert whole.dtype == np.float32
    alone = np.concatenate([projection.apply(row[None]) for row in X])
    np.testing.assert_allclose(whole, alone, rtol=1e-6, atol=1e-7)
    unit = X.astype(np.float64) / np.linalg.norm(X.astype(np.float64), axis=1, keepdims=True)
    wanted = unit @ projection.weight.T.astype(np.float64) + projection.bias
    lengths = np.linalg.norm(X, axis=1, keepdims=True)
    np.testing.assert_allclose(whole / lengths, wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(projection.apply(3 * X), 3 * whole, rtol=1e-5, atol=1e-6)


def test_fewer_dimensions_keep_what_varies_most() -> None:
    spread = np.array([0.01, 1, 0.1, 3, 0.02, 0.03])
    found = principal(RANDOM.normal(size=(400, 6)) * spread + 0.001, 2)
    np.testing.assert_allclose(found.weight @ found.weight.T, np.eye(2), atol=1e-6)
    assert np.abs(found.weight)[:, [1, 3]].max(axis=0).min() > 0.99
    assert found.weight[np.arange(2), np.abs(found.weight).argmax(axis=1)].min() > 0, "sign"
    with pytest.raises(InputError, match="expected 1 to 6 dimensions"):
        principal(X, 7)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("contract", [CONTRACT, None])
def test_a_file_holds_all_of_it(tmp_path: Path, bias: bool, contract: Contract | None) -> None:
    before = some(bias, contract)
    save_projection(tmp_path / "projection.safetensors", before)
    save_projection(tmp_path / "again.safetensors", before)
    saved = read_projection(tmp_path)  # a run folder
    after = saved.projection
    assert after.weight.tobytes() == before.weight.tobytes()
    assert (after.bias is None) == (before.bias is None)
    assert after.contract == contract
    assert after.told == {"head": "arcface", "people": 3}
    assert read_projection(tmp_path / "again.safetensors").sha256 == saved.sha256


def test_projected_embeddings_have_a_contract_of_their_own(tmp_path: Path) -> None:
    save_projection(tmp_path / "projection.safetensors", some())
    saved = read_projection(tmp_path)
    contract = saved.contract_of(CONTRACT)
    assert contract is not None
    assert contract.identity != CONTRACT.identity
    assert (contract.sha256, contract.dimension) == (saved.sha256, 4)
    assert contract.model == f"net + projection {saved.sha256[:12]}"
    assert Contract.from_json(contract.to_json()) == contract
    assert saved.contract_of(None) is None
    other = replace(some(), told={"head": "cosface"})
    save_projection(tmp_path / "other.safetensors", other)
    assert read_projection(tmp_path / "other.safetensors").contract_of(CONTRACT) != contract


def test_embeddings_of_another_model_are_refused(tmp_path: Path) -> None:
    save_projection(tmp_path / "known.safetensors", some())
    save_projection(tmp_path / "unknown.safetensors", some(contract=None))
    known, unknown = (
        read_projection(tmp_path / f"{name}.safetensors") for name in ("known", "unknown")
    )
    known.require_source(CONTRACT, 6, "x.npz")
    unknown.require_source(None, 6, "x.npz")
    with pytest.raises(InputError, match="cannot be compared"):
        known.require_source(replace(CONTRACT, sha256="cd" * 32), 6, "x.npz")
    with pytest.raises(InputError, match="does not say by which model"):
        known.require_source(None, 6, "x.npz")
    with pytest.raises(InputError, match="do not say by which model"):
        unknown.require_source(CONTRACT, 6, "x.npz")
    with pytest.raises(InputError, match=r"x\.npz: expected embeddings of 6 dimensions.* got 7"):
        unknown.require_source(None, 7, "x.npz")


@pytest.mark.parametrize(
    ("weight", "bias", "contract", "said"),
    [
        (np.eye(3, 2), None, None, r"1 <= d <= D.* got \(3, 2\)"),
        (np.ones(3), None, None, r"got \(3,\)"),
        (np.eye(2), np.ones(3), None, r"with a bias of shape \(3,\)"),
        (np.array([[np.nan, 1.0]]), None, None, "finite"),
        (np.eye(2), np.array([np.inf, 0]), None, "finite"),
        (np.eye(2), None, CONTRACT, "6 dimensions that its contract says"),
    ],
)
def test_what_is_no_projection_is_refused(
    weight: np.ndarray, bias: np.ndarray | None, contract: Contract | None, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        Projection(weight.astype(np.float32), bias, contract)


def test_what_cannot_be_projected_is_refused() -> None:
    with pytest.raises(InputError, match=r"expected embeddings of 6 dimensions.* got 5"):
        some().apply(X[:, :5])
    with pytest.raises(InputError, match="NaN"):
        some().apply(np.full((1, 6), np.nan))
    flat = Projection(np.eye(1, 6, dtype=np.float32))
    with pytest.raises(InputError, match=r"row 1 \(1 of 2\) has none"):
        flat.apply(np.array([[1.0, 1, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0]]))
    with pytest.raises(InputError, match=r"row 0 \(1 of 1\) has none"):
        identity(6).apply(np.full((1, 6), 1e300))


def _told(**changes: object) -> dict[str, str]:
    return {KEY: json.dumps({"format": 1, "source_dim": 2, "dim": 2, "contract": None} | changes)}


EYE = {"weight": np.eye(2, dtype=np.float32)}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty"),
        (b"\x80\x04K\x01.", "cannot be read"),
        (save(EYE, _told())[:-3], "cannot be read"),
        (save(EYE), "without its description"),
        (save(EYE, {KEY: "{"}), "cannot be read"),
        (save(EYE, {KEY: "[" * 100_000}), "cannot be read"),
        (save(EYE, _told(format=2)), "without its description"),
        (save({"w": EYE["weight"]}, _told()), "expected a tensor weight.* got 'w'"),
        (save({"weight": np.eye(2)}, _told()), "in float32"),
        (save(EYE | {"more": EYE["weight"]}, _told()), "got 'more', 'weight'|'weight', 'more'"),
        (save(EYE, _told(dim=1)), "expected a projection of 2 to 1 dimensions.* got 2 to 2"),
        (save(EYE, _told(contract={"model": 1})), "contract in JSON"),
        (save({"weight": np.full((2, 2), np.nan, np.float32)}, _told()), "safetensors: .*finite"),
    ],
)
def test_another_file_is_refused_in_a_sentence(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "projection.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said):
        read_projection(path)


def test_a_folder_without_one_is_refused(tmp_path: Path) -> None:
    save_file(EYE, tmp_path / "weights.safetensors")
    with pytest.raises(InputError, match=r"projection\.safetensors, but there is no such file"):
        read_projection(tmp_path)
