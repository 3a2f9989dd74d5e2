"""What a file is that is no photograph, told from how it begins, and the way out."""

from typing import NamedTuple


class Content(NamedTuple):
    """What it is, and what to do about it."""

    what: str
    way_out: str


ONE_FRAME = "save the frame you mean as PNG"
AS_PNG = "save it as PNG"
AS_PAGES = "save the picture in it as PNG"
ARRAYS = Content("arrays of NumPy (.npz)", "give the photographs they are of")
_HEIC = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1"}
_BEGINNINGS = (
    (b"GIF87a", Content("a GIF", ONE_FRAME)),
    (b"GIF89a", Content("a GIF", ONE_FRAME)),
    (b"II*\0", Content("a TIFF or a raw photograph", AS_PNG)),
    (b"MM\0*", Content("a TIFF or a raw photograph", AS_PNG)),
    (b"II+\0", Content("a TIFF", AS_PNG)),
    (b"MM\0+", Content("a TIFF", AS_PNG)),
    (b"8BPS", Content("a Photoshop file", AS_PNG)),
    (b"SIMPLE  =", Content("a FITS file", AS_PNG)),
    (b"\0\0\1\0", Content("an icon", AS_PNG)),
    (b"\xff\x0a", Content("a JPEG XL", AS_PNG)),
    (b"\0\0\0\x0cJXL ", Content("a JPEG XL", AS_PNG)),
    (b"\0\0\0\x0cjP  ", Content("a JPEG 2000", AS_PNG)),
    (b"\xffO\xffQ", Content("a JPEG 2000", AS_PNG)),
    (b"%PDF", Content("a PDF", AS_PAGES)),
    (b"%!PS", Content("a PostScript file", AS_PAGES)),
    (b"\x1aE\xdf\xa3", Content("a video", ONE_FRAME)),
    (b"\x1f\x8b", Content("packed with gzip", "unpack it first")),
    (b"7z\xbc\xaf", Content("a 7z archive", "unpack it first")),
    (b"Rar!", Content("a RAR archive", "unpack it first")),
    (b"\xff\xd8", Content("a JPEG whose beginning is damaged", "copy or download it again")),
    (b"\x89PNG", Content("a PNG whose beginning is damaged", "copy or download it again")),
)


def is_heic(raw: bytes) -> bool:
    """Whether it is what telephones write: HEIC, which Pillow alone does not read."""
    return raw[4:8] == b"ftyp" and raw[8:12] in _HEIC


def content_of(raw: bytes) -> Content:
    """What these bytes, which are no photograph, seem to be.

    >>> content_of(b"%PDF-1.7").what
    'a PDF'
    """
    for beginning, content in _BEGINNINGS:
        if raw.startswith(beginning):
            return content
    if raw.startswith(b"PK\3\4"):
        arrays = b".npy" in raw[30:200]  # the name of the first file in it
        return ARRAYS if arrays else Content("a zip archive", "unpack it first")
    if is_heic(raw):
        return Content("a damaged HEIC", "copy or download it again")
    if raw[4:8] == b"ftyp":
        still = raw[8:12] in (b"avif", b"avis")
        return Content("an AVIF", AS_PNG) if still else Content("a video", ONE_FRAME)
    if raw[:4] == b"RIFF" and raw[8:12] == b"AVI ":
        return Content("a video", ONE_FRAME)
    return _text(raw) or Content(
        "no picture that is known", "give JPEG, PNG, WebP, HEIC, BMP or PPM"
    )


def _text(raw: bytes) -> Content | None:
    if not raw.strip(b"\0"):
        return Content("nothing but zeros", "copy or download it again")
    head = raw[:1024]
    if any(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in head):
        return None
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if b"<svg" in start:
        return Content("an SVG drawing", AS_PNG)
    if start.startswith((b"<!doctype html", b"<html")):
        return Content("a web page", "download the picture itself")
    if start.startswith(b"version https://git-lfs"):
        return Content("a pointer of Git LFS", "fetch it with git lfs pull")
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:
            return None
    return Content("text", "give a photograph")
