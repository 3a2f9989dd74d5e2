"""Torch, torchvision's operators, and whether faces are found."""

from collections.abc import Iterator

import numpy as np

from recognition.doctor.findings import Finding, broken, missing, works

FACE = (64.8, 61.9, 141.0, 161.7)  # where the first of the drawn people is, with 40 pixels around
AROUND = 40
NEAR = 2.0  # pixels: libraries round differently
SURE = 0.99


def torch() -> Iterator[Finding]:
    """The build, its threads, and where it can compute."""
    try:
        import torch
    except Exception as error:
        yield broken("torch", f"import fails: {error}", "pip install --force-reinstall torch")
        return
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    where = ", ".join(gpus) or ("Apple's GPU" if torch.backends.mps.is_available() else "no GPU")
    yield works("torch", f"{torch.__version__}, {torch.get_num_threads()} threads, {where}")


def torchvision() -> Iterator[Finding]:
    """Whether its operators load; faces are found without them, too."""
    from recognition.faces.torchvision_operators import told

    found = told()
    if found.whole:
        yield works("torchvision", "its own operators are used")
    else:
        yield missing(
            "torchvision",
            f"its operators cannot be used ({found.reason}); faces are found all the same, with "
            "this package's own non-maximum suppression, which gives the same boxes",
            "pip install --force-reinstall torch torchvision",
        )


def detector() -> Iterator[Finding]:
    """Finds the face on a drawn picture where it is, and none on an empty one."""
    from recognition.datasets.drawn import draw_faces
    from recognition.faces.mtcnn import Mtcnn

    mtcnn = Mtcnn()
    drawn = draw_faces(2, 1, size=128).images[0]
    photo = np.pad(drawn, [(AROUND, AROUND), (AROUND, AROUND), (0, 0)], constant_values=128)
    faces, empty = mtcnn.detect([photo, np.full_like(photo, 128)])
    right = (
        len(faces) == 1
        and not empty
        and faces[0].score >= SURE
        and np.abs(faces[0].box - FACE).max() <= NEAR
    )
    if right:
        yield works("detection", f"finds a drawn face where it is; {mtcnn.name}")
    else:
        seen = [(round(face.score, 3), face.box.round(1).tolist()) for face in faces]
        yield broken(
            "detection",
            f"expected one face at {list(FACE)}, got {seen} and {len(empty)} on an empty picture",
            "pip install --force-reinstall --no-deps facenet-pytorch==2.5.3",
        )
