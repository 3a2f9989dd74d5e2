"""A face cut from its photograph, as a network wants it.

A pixel's centre has whole coordinates, as in the warp that published recognisers were trained on:
the first pixel is at 0, not at one half.
"""

from math import floor

import numpy as np
import numpy.typing as npt
from PIL import Image

from recognition.contract import Preprocessing
from recognition.errors import InputError
from recognition.faces.face import Face, Pixels

Points = npt.NDArray[np.float64]

_ARCFACE: Points = np.array(  # insightface's coordinates for 112 x 112, in the order of landmarks
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
)
_SIDE = 112
_WARP = "a face on a photograph has five landmarks that lie apart; detect it again"


def crop_face(pixels: Pixels, face: Face, preprocessing: Preprocessing) -> Pixels:
    """The crop (height, width, 3) uint8 RGB that `preprocessing` asks for.

    * `points`: the similarity that brings the landmarks closest to `template`, sampled bilinearly;
      black where it reaches beyond the photograph.
    * `box`: facenet-pytorch's `extract_face`, equal to the bit: the box widened by
      `margin / (side - margin)` of itself, clipped, its corners truncated to whole pixels,
      stretched with Pillow's bilinear filter, which averages over what it reduces.
    * `whole`: the same without a margin.

    Where a face is at least twice as large as its place in the crop, plain bilinear sampling
    skips pixels: a photograph's noise and hair alias. Blocks of k x k pixels are averaged first,
    k the whole part of the reduction, so that sampling is left to reduce by less than 2. Below
    2, as with most pictures that published recognisers were trained on, nothing is averaged, and
    the crop is that of OpenCV's `warpAffine` but for one grey level (measured with 5.0; earlier
    releases round positions to 1/32 of a pixel). From 2 on it is smoother than OpenCV's, by 2 to 7
    grey levels on average on photographs reduced by 2 to 6.

    Args:
        pixels: the photograph, (H, W, 3) uint8 RGB.
        face: on it.
        preprocessing: its alignment, size and margin; the rest is the network's business.

    Raises:
        InputError: landmarks or box are no numbers, coincide, or lie off the photograph.
    """
    _require_photograph(pixels)
    if preprocessing.alignment == "points":
        return _warped(pixels, face.landmarks, preprocessing)
    margin = preprocessing.margin if preprocessing.alignment == "box" else 0
    return _stretched(pixels, face.box, margin, preprocessing)


def template(height: int, width: int) -> Points:
    """Where the five landmarks belong on a crop, (5, 2).

    ArcFace's coordinates on 112 x 112, scaled by height / 112, their middle column (x = 56) in the
    middle of the width. So 112 x 96 is the template of SphereFace and CosFace, x shifted by -8,
    and 224 x 224 is insightface's.

    >>> template(112, 96)[0]
    array([30.2946, 51.6963])
    """
    scale = height / _SIDE
    return (_ARCFACE - [_SIDE / 2, 0.0]) * scale + [width / 2, 0.0]


def similarity(points: npt.ArrayLike, targets: npt.ArrayLike) -> Points:
    """The similarity that brings points closest to their targets, as (2, 3): A, then b.

    It minimises sum |A p + b - q|² over A = c R, c > 0 and R a rotation; never a reflection.
    Umeyama 1991, equations 40-43. In the plane, with complex numbers about the means, they
    say c R = sum conj(p) q / sum |p|².

    Args:
        points: (N, 2).
        targets: (N, 2).

    Raises:
        InputError: they are no finite numbers, the points coincide, or no turn brings them closer.

    >>> similarity([[0, 0], [1, 0]], [[5, 5], [5, 7]])  # doubled, a quarter turn, shifted
    array([[ 0., -2.,  5.],
           [ 2.,  0.,  5.]])
    """
    pairs = np.stack([np.asarray(each, np.float64) for each in (points, targets)])
    if not np.isfinite(pairs).all():
        raise InputError(f"expected landmarks that are finite numbers, got {points!r}; {_WARP}")
    p, q = pairs @ [1, 1j]
    about, towards = p - p.mean(), q - q.mean()
    spread, wanted = (float(np.vdot(each, each).real) for each in (about, towards))
    turn = complex(np.vdot(about, towards)) / spread if spread > 1e-10 * (abs(p) ** 2).sum() else 0
    if abs(turn) ** 2 * spread <= 1e-9 * wanted:
        raise InputError(
            f"expected landmarks of a face, got {np.asarray(points).tolist()}; {_WARP}"
        )
    shift = complex(q.mean() - turn * p.mean())
    return np.array(
        [[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]], np.float64
    )


def _warped(pixels: Pixels, landmarks: npt.ArrayLike, preprocessing: Preprocessing) -> Pixels:
    height, width = preprocessing.height, preprocessing.width
    if np.shape(landmarks) != (5, 2):
        raise InputError(f"expected landmarks of shape (5, 2), got {np.shape(landmarks)}; {_WARP}")
    forward = similarity(landmarks, template(height, width))
    y, x = np.mgrid[:height, :width]
    from_shift = np.stack([x, y]) - forward[:, 2, None, None]
    places = np.einsum("ij,jhw->ihw", np.linalg.inv(forward[:, :2]), from_shift)
    return _sampled(pixels, places, max(1, floor(1 / np.hypot(*forward[:, 0]))))


def _sampled(pixels: Pixels, places: Points, k: int) -> Pixels:
    """Pixels at places (2, h, w), x and y, after averaging blocks of k x k of them."""
    if k == 1:
        return _bilinear(pixels, places)
    size = np.array([pixels.shape[1], pixels.shape[0]])
    first = np.clip(np.floor(places.min((1, 2))) - 2 * k, 0, size).astype(int)
    last = np.clip(np.ceil(places.max((1, 2))) + 2 * k, 0, size).astype(int)
    if (last <= first).any():
        return np.zeros((*places.shape[1:], 3), np.uint8)
    region = pixels[first[1] : last[1], first[0] : last[0]]
    reduced = np.asarray(Image.fromarray(np.ascontiguousarray(region)).reduce(k))
    middle = (first + (k - 1) / 2)[:, None, None]  # of the first block
    return _bilinear(reduced, (places - middle) / k)


def _bilinear(pixels: Pixels, places: Points) -> Pixels:
    """Between the four pixels around each place; a pixel off the photograph is black."""
    size = np.array([pixels.shape[1], pixels.shape[0]])[:, None, None]
    places = np.clip(places, -1, size)  # from there on all is black
    corner = np.floor(places).astype(np.int64)
    right, below = places - corner
    total = np.zeros((*places.shape[1:], 3))
    for down, across in ((0, 0), (0, 1), (1, 0), (1, 1)):
        x, y = corner + np.array([across, down])[:, None, None]
        inside = (x >= 0) & (x < size[0]) & (y >= 0) & (y < size[1])
        weight = np.where(down, below, 1 - below) * np.where(across, right, 1 - right) * inside
        value = pixels[np.where(inside, y, 0), np.where(inside, x, 0)]
        total += weight[..., None] * value
    return np.rint(total).astype(np.uint8)


def _stretched(
    pixels: Pixels, box: npt.ArrayLike, margin: int, preprocessing: Preprocessing
) -> Pixels:
    corners = np.asarray(box)
    if corners.shape != (4,) or not np.isfinite(corners).all():
        raise InputError(f"expected a box of four finite numbers, got {box!r}; detect it again")
    height, width = preprocessing.height, preprocessing.width
    left, top, right, bottom = corners  # the detector's own precision, as in extract_face
    across = margin * (right - left) / (width - margin)
    down = margin * (bottom - top) / (height - margin)
    first_x, first_y = int(max(left - across / 2, 0)), int(max(top - down / 2, 0))
    end_x = int(min(right + across / 2, pixels.shape[1]))
    end_y = int(min(bottom + down / 2, pixels.shape[0]))
    if end_x <= first_x or end_y <= first_y:
        raise InputError(
            f"expected a box on the photograph of {pixels.shape[1]} x {pixels.shape[0]} pixels, "
            f"got {corners.tolist()}; detect it again"
        )
    part = Image.fromarray(np.ascontiguousarray(pixels[first_y:end_y, first_x:end_x]))
    return np.array(part.resize((width, height), Image.Resampling.BILINEAR))


def _require_photograph(pixels: Pixels) -> None:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise InputError(
            f"expected a photograph (height, width, 3) of uint8, got {pixels.shape} of "
            f"{pixels.dtype}; load_photo reads files so"
        )
