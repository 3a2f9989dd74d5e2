"""Any recogniser in ONNX, by onnxruntime."""

import fnmatch
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from recognition.contract import Contract, Preprocessing
from recognition.datasets._files import listed, refusing, shown
from recognition.errors import InputError
from recognition.faces.face import Floats, Pixels
from recognition.faces.models.card import Card, card_path, read_card, require_unchanged
from recognition.faces.models.passes import embed_in_chunks
from recognition.faces.models.trial import tried
from recognition.faces.models.weight_bytes import read_bytes

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

EXPECTED = "a recogniser in ONNX"
INSIGHTFACE = Card(
    Preprocessing(std=(127.5, 127.5, 127.5)),  # insightface model_zoo/arcface_onnx.py, 2400a75
    licence="insightface's models are for non-commercial research only",
)
KNOWN = {"w600k_*.onnx": INSIGHTFACE}  # by the names that their authors gave them
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_TYPES: dict[str, type[np.floating[Any]]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
}


class Graph(NamedTuple):
    """What a graph takes and gives.

    Attributes:
        input: its input's name.
        output: the embedding's name.
        dtype: of the input.
        batch: the batch it is fixed to; 0 where any will do.
    """

    input: str
    output: str
    dtype: type[np.floating[Any]]
    batch: int


@dataclass(frozen=True, eq=False)
class OnnxEmbedder:
    """A graph in onnxruntime; `load_onnx` makes it.

    Attributes:
        session: onnxruntime's.
        graph: what it takes and gives.
        contract: which file, which input.
    """

    session: "InferenceSession"
    graph: Graph
    contract: Contract

    def embed(self, crops: Pixels) -> Floats:
        """Embeddings (N, D) of crops (N, height, width, 3), as the graph gives them.

        Raises:
            InputError: crops of another shape or kind, or embeddings that are not finite.
        """
        told = self.contract
        return embed_in_chunks(self.forward, crops, told.preprocessing, told.dimension, told.model)

    def forward(self, batch: Floats) -> Floats:
        """(B, 3, H, W) -> (B, d); a graph of a fixed batch is given that many, the last repeated."""
        size = self.graph.batch or len(batch)
        rows = []
        for start in range(0, len(batch), size):
            part = batch[start : start + size]
            filled = np.concatenate([part, part[-1:].repeat(size - len(part), axis=0)])
            rows.append(self._run(filled)[: len(part)])
        return np.concatenate(rows)

    def _run(self, batch: Floats) -> Floats:
        fed = np.ascontiguousarray(batch, self.graph.dtype)
        (found,) = self.session.run([self.graph.output], {self.graph.input: fed})
        rows = np.asarray(found, np.float32)
        return rows.reshape(len(rows), -1) if rows.ndim > 1 else rows


def load_onnx(path: Path, *, device: str = "cpu") -> OnnxEmbedder:
    """A recogniser in ONNX, with its card `face.json` beside `face.onnx`.

    Files called as insightface's `w600k_r50.onnx` need no card. All weights are in the file: one
    that refers to others is refused, as onnxruntime would read whatever path it names.

    Raises:
        InputError: onnxruntime is missing, no such file, no card, a graph that takes no picture or
            gives no embedding, or a device that is not there.
    """
    runtime = _imported("onnxruntime")
    provider = _provider(device, runtime.get_available_providers())
    raw, sha256 = read_bytes(path, EXPECTED)
    card = _card_of(path)
    require_unchanged(card, sha256, path)
    _require_whole(raw, path)
    with refusing(path, EXPECTED, "export it again"):
        session = runtime.InferenceSession(
            raw, _options(runtime), providers=[provider], enable_fallback=0
        )
    if session.get_providers()[0] != provider:
        raise InputError(
            f"device {device} was asked for, but onnxruntime took {session.get_providers()[0]}; "
            "mend its CUDA libraries, or ask for cpu"
        )
    graph = _graph(session, card, path)
    told = {"onnxruntime": str(runtime.__version__)}  # whose package may be onnxruntime-gpu
    contract = Contract(
        card.name or path.name, card.original_sha256 or sha256, 1, card.preprocessing,
        card.licence, told,
    )  # fmt: skip
    forward = OnnxEmbedder(session, graph, contract).forward
    return OnnxEmbedder(session, graph, tried(forward, contract))


def require_installed(*names: str) -> None:
    """Refuse to begin without the extra's libraries.

    Raises:
        InputError: one is missing.
    """
    for name in names:
        _imported(name)


def _imported(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(
            f"ONNX models need {name}, which is not installed; "
            "pip install 'margin-recognition[onnx]'"
        ) from error


def _provider(device: str, there: list[str]) -> str:
    if device not in _PROVIDERS:
        raise InputError(f"unknown device {device[:40]!r} for ONNX; known: cpu, cuda")
    if _PROVIDERS[device] not in there:
        raise InputError(
            f"device {device} is not there: this onnxruntime has {', '.join(there)}; install "
            "onnxruntime-gpu, or ask for cpu"
        )
    return _PROVIDERS[device]


def _options(runtime: Any) -> Any:
    from recognition.comparisons.threads import threads

    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what fails is raised, too
    return options


def _card_of(path: Path) -> Card:
    if not card_path(path).exists():
        for pattern, card in KNOWN.items():
            if fnmatch.fnmatch(path.name, pattern):
                return card
    return read_card(path)


def _require_whole(raw: bytes, path: Path) -> None:
    """Every weight is in the bytes themselves."""
    onnx = _imported("onnx")
    with refusing(path, EXPECTED, "export it again"):
        model = onnx.ModelProto.FromString(raw)
        kind = onnx.TensorProto
        outside = [
            tensor.name
            for tensor in _messages(model, kind)
            if tensor.external_data or tensor.data_location == kind.EXTERNAL
        ]
    if outside:
        raise InputError(
            f"{shown(path)}: expected all weights in one file, but {listed(outside, 1)} and others "
            "lie in a second one; save it with onnx.save(onnx.load(...), path)"
        )


def _messages(message: Any, kind: type) -> Iterator[Any]:
    """Every message of a kind, however deep: weights can hide in branches and functions."""
    if isinstance(message, kind):
        yield message
        return
    for described, value in message.ListFields():
        if described.message_type is None:
            continue
        for each in value if hasattr(value, "__len__") else [value]:
            yield from _messages(each, kind)


def _graph(session: Any, card: Card, path: Path) -> Graph:
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or inputs[0].type not in _TYPES or len(inputs[0].shape or ()) != 4:
        came = ", ".join(f"{each.name[:40]} {each.shape} {each.type}" for each in inputs[:3])
        raise InputError(
            f"{shown(path)}: expected one input of shape (N, 3, height, width) in float32, got "
            f"{came or 'none'}; export the recogniser alone"
        )
    _require_size(inputs[0].shape, card.preprocessing, path)
    names = [each.name for each in outputs]
    if card.output not in names and (card.output or len(names) != 1):
        raise InputError(
            f"{shown(path)}: expected one output, or the embedding's name as output in "
            f"{card_path(path).name}, got {listed(names)}; name one of them there"
        )
    batch = inputs[0].shape[0]
    return Graph(
        inputs[0].name,
        card.output or names[0],
        _TYPES[inputs[0].type],
        batch if isinstance(batch, int) and batch > 0 else 0,
    )


def _require_size(shape: list[Any], preprocessing: Preprocessing, path: Path) -> None:
    wanted = (3, preprocessing.height, preprocessing.width)
    for there, asked in zip(shape[1:], wanted, strict=True):
        if isinstance(there, int) and there > 0 and there != asked:
            raise InputError(
                f"{shown(path)}: its card tells crops of {wanted[1]} x {wanted[2]} in 3 channels, "
                f"but the graph takes (N, {', '.join(map(str, shape[1:]))}), channels first; "
                "correct height and width in the card, or export it channels first"
            )
    if isinstance(shape[0], int) and shape[0] > 4096:
        raise InputError(
            f"{shown(path)}: expected a batch that fits in memory, got one fixed to {shape[0]:,}; "
            "export it with a dynamic batch"
        )
