"""Small files made to the formats that pictures of people come in."""

import io
import pickle
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

MAGIC = struct.pack("<I", 0xCED7230A)


def encoded(shade: int, kind: str = "JPEG", size: tuple[int, int] = (20, 20)) -> bytes:
    """A picture of one colour, whose red is `shade`."""
    buffer = io.BytesIO()
    Image.new("RGB", size, (shade, 40, 90)).save(buffer, kind)
    return buffer.getvalue()


def record(payload: bytes) -> bytes:
    """As dmlc's RecordIOWriter does it: cut wherever the magic is at a multiple of four."""
    cuts = [at for at in range(0, len(payload) - 3, 4) if payload[at : at + 4] == MAGIC]
    starts, ends = [0, *(at + 4 for at in cuts)], [*cuts, len(payload)]
    written = b""
    for part, (start, end) in enumerate(zip(starts, ends, strict=True)):
        code = 0 if not cuts else 1 if part == 0 else 3 if part == len(cuts) else 2
        word = struct.pack("<I", code << 29 | end - start)
        written += MAGIC + word + payload[start:end] + bytes(-(end - start) % 4)
    return written


def labelled(labels: float | Sequence[float], picture: bytes, key: int = 0) -> bytes:
    """The payload of a record: one label in the header, or several behind it."""
    if isinstance(labels, int | float):
        return struct.pack("<IfQQ", 0, labels, key, 0) + picture
    more = np.asarray(labels, "<f4").tobytes()
    return struct.pack("<IfQQ", len(labels), 0, key, 0) + more + picture


def write_records(path: Path, payloads: dict[int, bytes], *, index: bool = True) -> Path:
    """The .rec and, if wanted, the .idx beside it."""
    raw, lines = b"", []
    for key, payload in payloads.items():
        lines.append(f"{key}\t{len(raw)}\n")
        raw += record(payload)
    path.write_bytes(raw)
    if index:
        path.with_suffix(".idx").write_text("".join(lines))
    return path


def insightface_payloads(people: Sequence[int], pictures: Sequence[bytes]) -> dict[int, bytes]:
    """Record 0, the pictures from 1, and a record for each run of pictures of one person."""
    end = len(people) + 1
    runs = [i for i in range(len(people)) if i == 0 or people[i] != people[i - 1]]
    payloads = {0: labelled([end, end + len(runs)], b"")}
    for key, (person, picture) in enumerate(zip(people, pictures, strict=True), 1):
        payloads[key] = labelled(person, picture, key)
    for number, (first, last) in enumerate(zip(runs, [*runs[1:], len(people)], strict=True)):
        payloads[end + number] = labelled([first + 1, last + 1], b"", end + number)
    return payloads


def write_bin(path: Path, entries: object, mated: object, protocol: int = 4) -> Path:
    """insightface's verification set, as its build_eval_pack.py writes it."""
    path.write_bytes(pickle.dumps((entries, mated), protocol=protocol))
    return path


def python2(entries: Sequence[bytes], mated: Sequence[bool], protocol: int) -> bytes:
    """What Python 2 pickles: its strings are bytes, of protocol 0 or 2."""
    if protocol == 0:
        listing = b"".join(b"S%s\na" % repr(entry)[1:].encode() for entry in entries)
        flags = b"".join(b"I0%d\na" % flag for flag in mated)
        return b"((l" + listing + b"(l" + flags + b"t."
    listing = b"".join(b"T" + struct.pack("<i", len(entry)) + entry for entry in entries)
    flags = b"".join(b"\x88" if flag else b"\x89" for flag in mated)
    return b"\x80\x02](" + listing + b"e](" + flags + b"e\x86."
