"""From photographs to embeddings: load, detect, align, embed.

    photo = load_photo("a.jpg")
    (faces,) = Mtcnn().detect([photo.pixels])           # the largest first
    embedder = load_embedder("face.onnx")
    crop = crop_face(photo.pixels, faces[0], embedder.contract.preprocessing)
    row = embedder.embed(crop[None])                    # (1, D)

`embed_folder` does this for folders of photographs, `embed_photos` one outcome after the other.
Names are loaded when they are first used. The only door to facenet-pytorch's detector,
torchvision and onnxruntime.
"""

from typing import TYPE_CHECKING

from recognition.lazy_names import load_on_use

if TYPE_CHECKING:
    from recognition.faces.alignment import crop_face
    from recognition.faces.detection import Detected, detect_faces
    from recognition.faces.drawing import contact_sheet, draw_faces
    from recognition.faces.embedder import Embedder
    from recognition.faces.embedding import Embedded, embed_folder
    from recognition.faces.face import Detector, Face
    from recognition.faces.face_file import FaceFile
    from recognition.faces.face_file_reader import read_faces
    from recognition.faces.models.export import export_onnx
    from recognition.faces.models.loading import load_embedder
    from recognition.faces.mtcnn import Mtcnn
    from recognition.faces.photos import Photo, PhotoFile, find_photos, load_photo
    from recognition.faces.pipeline import CERTAIN, Outcome, embed_photos
    from recognition.faces.trusted_threshold import Threshold, read_calibration
    from recognition.faces.verification import Verification, verify_photos

_HOME = {
    "CERTAIN": "pipeline",
    "Detected": "detection",
    "Detector": "face",
    "Embedded": "embedding",
    "Embedder": "embedder",
    "Face": "face",
    "FaceFile": "face_file",
    "Mtcnn": "mtcnn",
    "Outcome": "pipeline",
    "Photo": "photos",
    "PhotoFile": "photos",
    "Threshold": "trusted_threshold",
    "Verification": "verification",
    "contact_sheet": "drawing",
    "crop_face": "alignment",
    "detect_faces": "detection",
    "draw_faces": "drawing",
    "embed_folder": "embedding",
    "embed_photos": "pipeline",
    "export_onnx": "models.export",
    "find_photos": "photos",
    "load_embedder": "models.loading",
    "load_photo": "photos",
    "read_calibration": "trusted_threshold",
    "read_faces": "face_file_reader",
    "verify_photos": "verification",
}

__all__ = [
    "CERTAIN",
    "Detected",
    "Detector",
    "Embedded",
    "Embedder",
    "Face",
    "FaceFile",
    "Mtcnn",
    "Outcome",
    "Photo",
    "PhotoFile",
    "Threshold",
    "Verification",
    "contact_sheet",
    "crop_face",
    "detect_faces",
    "draw_faces",
    "embed_folder",
    "embed_photos",
    "export_onnx",
    "find_photos",
    "load_embedder",
    "load_photo",
    "read_calibration",
    "read_faces",
    "verify_photos",
]

if not TYPE_CHECKING:  # which would believe in any name
    __getattr__, __dir__ = load_on_use(__name__, _HOME)
