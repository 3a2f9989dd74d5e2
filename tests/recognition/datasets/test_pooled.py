"""Files of pictures become files of templates, failures included."""

from pathlib import Path

import numpy as np
import pytest

from recognition.datasets.embedding_files import EmbeddingFile, read_embeddings
from recognition.datasets.pooled import Columns, pool_file
from recognition.errors import InputError
from recognition.templates import Pooling


def table(folder: Path, **change: object) -> EmbeddingFile:
    rows = np.eye(6, 4) + 0.5
    rows[[1, 4, 5]] = np.nan
    columns = {
        "embeddings": rows,
        "labels": ["ann", "ann", "bob", "ann", "cy", "cy"],
        "video": ["v", "v", "w", "u", "x", "x"],
        "place": ["in", "in", "out", "in", "in", "in"],
        "frame": np.arange(6),
    }
    np.savez(folder / "a.npz", **(columns | change))
    return read_embeddings(folder / "a.npz")


def test_templates_have_their_names_labels_and_common_columns(tmp_path: Path) -> None:
    pictures = table(tmp_path)
    assert pictures.failed_columns["video"].tolist() == ["v", "x", "x"]
    found, notes = pool_file(pictures, Columns("video"))
    assert found.ids.tolist() == ["u", "v", "w"]
    assert found.labels.tolist() == ["ann", "ann", "bob"]
    assert sorted(found.columns) == ["frame", "place"]  # one picture is left of each
    assert found.columns["place"].tolist() == ["in", "in", "out"]
    assert [tuple(one) for one in found.failures] == [("x", "cy", "all 2 of its pictures failed")]
    assert notes[0].startswith("1 pictures could not be embedded, but others of their 1 templates")
    np.testing.assert_allclose(np.linalg.norm(found.embeddings, axis=1), 1)


def test_columns_that_differ_within_a_template_are_left_out(tmp_path: Path) -> None:
    rows = np.eye(6, 4) + 0.5
    found, notes = pool_file(table(tmp_path, embeddings=rows), Columns("video"))
    assert sorted(found.columns) == ["place"]
    assert found.failures == ()
    assert notes == []
    how = Columns("video", weight="frame", pooling=Pooling(weighted=False))
    again, _ = pool_file(table(tmp_path, embeddings=rows), how)
    np.testing.assert_array_equal(again.embeddings, found.embeddings)


def test_templates_of_two_people_are_refused(tmp_path: Path) -> None:
    whole = table(tmp_path, embeddings=np.eye(6, 4) + 0.5)
    with pytest.raises(InputError, match="template 'in' shows 'ann', 'cy'"):
        pool_file(whole, Columns("place"))
    failed = table(tmp_path, labels=["ann", "ann", "bob", "ann", "cy", "dan"])
    with pytest.raises(InputError, match="template 'x', whose pictures all failed, shows 'cy', 'd"):
        pool_file(failed, Columns("video"))
