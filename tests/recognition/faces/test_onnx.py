"""Recognisers in ONNX: any batch, one file, on the device that was asked for."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
from fuzz import damaged, refused
from networks import CARD, TINY, crops

from recognition.contract import Preprocessing
from recognition.errors import InputError
from recognition.faces.models import load_embedder
from recognition.faces.models.weight_bytes import file_hash

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
helper, FLOAT = onnx.helper, onnx.TensorProto.FLOAT
WEIGHTS = np.random.default_rng(0).normal(size=(144, 5)).astype(np.float32)
SHAPE = (3, 8, 6)


def tensor(values, name):
    return onnx.numpy_helper.from_array(values, name)


def model(batch="N", shape=SHAPE, *, inputs=1, outputs=1, dtype=FLOAT, weights=WEIGHTS):
    """Flatten, then a matrix product."""
    kind = np.float16 if dtype == onnx.TensorProto.FLOAT16 else np.float32
    weights = weights[: np.prod(shape)]
    nodes = [helper.make_node("Flatten", ["x0"], ["f"], axis=1)]
    nodes += [helper.make_node("MatMul", ["f", "w"], ["y0"])]
    nodes += [helper.make_node("Neg", ["y0"], [f"y{i}"]) for i in range(1, outputs)]
    ins = [helper.make_tensor_value_info(f"x{i}", dtype, [batch, *shape]) for i in range(inputs)]
    outs = [helper.make_tensor_value_info(f"y{i}", dtype, [batch, 5]) for i in range(outputs)]
    graph = helper.make_graph(nodes, "g", ins, outs, [tensor(weights.astype(kind), "w")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def save(folder, made, card=CARD, name="face.onnx"):
    path = folder / name
    path.write_bytes(made if isinstance(made, bytes) else made.SerializeToString())
    if card is not None:
        path.with_suffix(".json").write_text(json.dumps(card))
    return path


def by_hand(pixels, told=TINY):
    planes = (pixels.astype(np.float64) - told.mean) / told.std
    return planes.transpose(0, 3, 1, 2).reshape(len(pixels), 144) @ WEIGHTS


@pytest.mark.parametrize("batch", ["N", 1, 2, 7, 40])
@pytest.mark.parametrize("count", [0, 1, 2, 33])
def test_any_number_of_crops_goes_through_any_batch(tmp_path, batch, count):
    embedder = load_embedder(save(tmp_path, model(batch)))
    pixels = crops(count)
    assert np.allclose(embedder.embed(pixels), by_hand(pixels), atol=1e-4)
    assert embedder.embed(pixels).dtype == np.float32


def test_the_contract_is_that_of_the_card_and_the_file(tmp_path):
    path = save(tmp_path, model())
    told = load_embedder(path).contract
    assert told.preprocessing == TINY
    assert (told.model, told.dimension, told.licence) == ("face.onnx", 5, "CC0")
    assert told.sha256 == file_hash(path, "model")
    assert set(told.versions) == {"onnxruntime"}


def test_half_precision_and_a_named_output_among_several(tmp_path):
    half = load_embedder(save(tmp_path, model(dtype=onnx.TensorProto.FLOAT16)))
    assert np.allclose(half.embed(crops(2)), by_hand(crops(2)), rtol=0.02, atol=0.1)
    path = save(tmp_path, model(outputs=2))
    with pytest.raises(InputError, match="got 'y0', 'y1'; name one"):
        load_embedder(path)
    path = save(tmp_path, model(outputs=2), {**CARD, "output": "y1"})
    assert np.allclose(load_embedder(path).embed(crops(2)), -by_hand(crops(2)), atol=1e-4)
    path = save(tmp_path, model(), {**CARD, "output": "z"})
    with pytest.raises(InputError, match="got 'y0'"):
        load_embedder(path)


def test_insightfaces_files_are_known_by_their_names(tmp_path):
    weights = np.random.default_rng(0).normal(size=(3 * 112 * 112, 5)).astype(np.float32)
    made = model(shape=(3, 112, 112), weights=weights)
    told = load_embedder(save(tmp_path, made, None, "w600k_mbf.onnx")).contract
    assert told.preprocessing == Preprocessing(std=(127.5,) * 3)
    assert told.preprocessing.alignment == "points"
    assert "non-commercial" in told.licence
    other = {**CARD, "height": 112, "width": 112, "licence": "mine"}
    path = save(tmp_path, made, other, "w600k_r50.onnx")
    assert load_embedder(path).contract.licence == "mine"
    with pytest.raises(InputError, match=r"arcface\.json beside .*, for example \{"):
        load_embedder(save(tmp_path, made, None, "arcface.onnx"))


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ({"inputs": 2}, "expected one input"),
        ({"shape": (3, 8)}, "expected one input of shape"),
        ({"shape": (8, 6, 3)}, "channels first"),
        ({"shape": (3, 6, 8)}, r"its card tells crops of 8 x 6 .* takes \(N, 3, 6, 8\)"),
        ({"shape": (1, 8, 6)}, "in 3 channels"),
        ({"batch": 100_000}, "one fixed to 100,000"),
        ({"dtype": onnx.TensorProto.DOUBLE}, "in float32, got .*double|cannot be read"),
        ({"weights": WEIGHTS * np.nan}, "holds NaN"),
        ({"weights": WEIGHTS * 0}, "same or zeros"),
    ],
)
def test_a_graph_that_is_no_recogniser_is_refused(tmp_path, made, words):
    with pytest.raises(InputError, match=words):
        load_embedder(save(tmp_path, model(**made)))


def outside(made, where):
    """The same model, its weights in another file."""
    weights = made.graph.initializer[0]
    weights.ClearField("raw_data")
    weights.data_location = onnx.TensorProto.EXTERNAL
    weights.external_data.add(key="location", value=str(where))
    return made


def nested(made, where):
    """Weights that a branch refers to."""
    away = tensor(WEIGHTS, "v")
    branch = helper.make_graph(
        [helper.make_node("Identity", ["v"], ["b"])],
        "branch",
        [],
        [helper.make_tensor_value_info("b", FLOAT, [144, 5])],
        [away],
    )
    made.graph.initializer.append(tensor(np.array(True), "yes"))
    made.graph.node.append(
        helper.make_node("If", ["yes"], ["v2"], then_branch=branch, else_branch=branch)
    )
    for attribute in made.graph.node[-1].attribute:
        inner = attribute.g.initializer[0]
        inner.ClearField("raw_data")
        inner.data_location = onnx.TensorProto.EXTERNAL
        inner.external_data.add(key="location", value=str(where))
    return made


@pytest.mark.parametrize("hide", [outside, nested])
@pytest.mark.parametrize("absolute", [True, False])
def test_weights_in_another_file_are_refused(tmp_path, monkeypatch, hide, absolute):
    """onnxruntime itself would read them from wherever the process happens to be."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.bin").write_bytes(WEIGHTS.tobytes())
    where = tmp_path / "w.bin" if absolute else "w.bin"
    with pytest.raises(InputError, match="expected all weights in one file"):
        load_embedder(save(tmp_path, hide(model(), where)))


def test_a_device_that_is_not_there_is_an_error(tmp_path, monkeypatch):
    path = save(tmp_path, model())
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(InputError, match=r"device cuda is not there: .* CPUExecutionProvider"):
        load_embedder(path, device="cuda")
    with pytest.raises(InputError, match="unknown device 'tpu'"):
        load_embedder(path, device="tpu")


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_silent_fallback_is_an_error_too(tmp_path, monkeypatch):
    path = save(tmp_path, model())
    there = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: there)
    with pytest.raises(InputError, match=r"onnxruntime took CPU|is not there"):
        load_embedder(path, device="cuda")


@pytest.mark.parametrize("name", ["onnxruntime", "onnx"])
def test_without_the_extra_one_line_says_what_to_install(tmp_path, monkeypatch, name):
    path = save(tmp_path, model())
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match=rf"need {name},.*pip install '.*\[onnx\]'"):
        load_embedder(path)


def test_a_changed_file_is_refused_where_its_card_knows_the_hash(tmp_path):
    path = save(tmp_path, model())
    card = {**CARD, "sha256": file_hash(path, "model")}
    assert load_embedder(save(tmp_path, model(), card)).contract.dimension == 5
    with pytest.raises(InputError, match="has changed"):
        load_embedder(save(tmp_path, model("M"), card))
    with pytest.raises(InputError, match="expected sha256 beside original_sha256"):
        load_embedder(save(tmp_path, model(), {**CARD, "original_sha256": "0" * 64}))


def test_mirrors_and_channels_are_done_outside_the_graph(tmp_path):
    told = replace(TINY, mirror="concatenate")
    embedder = load_embedder(save(tmp_path, model(), {**CARD, "mirror": "concatenate"}))
    pixels = crops(3)
    rows = np.concatenate([by_hand(pixels, told), by_hand(pixels[:, :, ::-1], told)], axis=1)
    assert embedder.contract.dimension == 10
    assert np.allclose(embedder.embed(pixels), rows, atol=1e-4)


def test_damage_is_refused_or_leaves_a_recogniser(tmp_path, capfd):
    good = model().SerializeToString()
    count = 0
    for _, raw in damaged(good):
        path = save(tmp_path, raw)
        count += refused(
            lambda p=path: load_embedder(p).embed(crops(1)), lambda rows: np.isfinite(rows).all()
        )
    assert count > 20
    assert capfd.readouterr() == ("", ""), "what is wrong is said in the sentence alone"
