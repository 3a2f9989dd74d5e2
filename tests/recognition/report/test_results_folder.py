import os
import stat

import pytest

from recognition.errors import InputError
from recognition.report.results_folder import check_free, run_folder


def fill(folder):
    (folder / "results.json").write_text("{}")
    (folder / "weights").mkdir()
    (folder / "weights" / "a").write_text("1")


def test_a_finished_folder_is_complete_and_alone(tmp_path):
    final = tmp_path / "runs" / "one"
    with run_folder(final) as partial:
        fill(partial)
        assert not final.exists()
        assert partial.parent == final.parent
        assert partial.name.startswith(".")
    assert [path.name for path in final.parent.iterdir()] == ["one"]
    assert (final / "results.json").read_text() == "{}"
    assert (final / "weights" / "a").read_text() == "1"


@pytest.mark.parametrize("error", [ValueError, InputError, KeyboardInterrupt, SystemExit])
def test_whatever_ends_the_work_early_leaves_nothing(tmp_path, error):
    def work():
        with run_folder(tmp_path / "one") as partial:
            fill(partial)
            raise error("stop")

    with pytest.raises(error, match="stop"):
        work()
    assert list(tmp_path.iterdir()) == []


def refused(final):
    """The refusal of a folder, which must come before any work."""
    for start in (check_free, lambda folder: run_folder(folder).__enter__()):
        with pytest.raises(InputError) as found:
            start(final)
    return str(found.value)


def test_a_folder_with_something_in_it_is_refused_and_left_alone(tmp_path):
    final = tmp_path / "one"
    final.mkdir()
    (final / "precious").write_text("mine")
    assert refused(final) == f"{final} exists already; name another folder with --out, or remove it"
    assert [path.name for path in tmp_path.iterdir()] == ["one"]
    assert (final / "precious").read_text() == "mine"
    assert len(list(final.iterdir())) == 1


def test_a_file_in_the_way_is_refused_and_left_alone(tmp_path):
    final = tmp_path / "one"
    final.write_text("mine")
    assert "exists already" in refused(final)
    assert final.read_text() == "mine"


def test_a_file_where_a_parent_should_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    assert f"{tmp_path / 'file'} cannot be written to" in refused(tmp_path / "file" / "a" / "b")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_parent_that_cannot_be_written_is_refused(tmp_path, monkeypatch):
    asked = []

    def access(path, mode):
        asked.append((path, mode))
        return False

    monkeypatch.setattr(os, "access", access)
    assert refused(tmp_path / "new" / "one").startswith(f"{tmp_path} cannot be written to; name")
    assert all(path == tmp_path and mode & os.W_OK for path, mode in asked)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_may_be_filled(tmp_path):
    final = tmp_path / "one"
    final.mkdir()
    with run_folder(final) as partial:
        fill(partial)
    assert (final / "results.json").exists()
    assert len(list(tmp_path.iterdir())) == 1


def test_only_the_owner_can_read_it(tmp_path):
    with run_folder(tmp_path / "one") as partial:
        assert stat.S_IMODE(partial.stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "one").stat().st_mode) == 0o700


def test_what_somebody_else_puts_there_meanwhile_is_not_overwritten(tmp_path):
    final = tmp_path / "one"

    def work():
        with run_folder(final) as partial:
            fill(partial)
            final.mkdir()
            (final / "precious").write_text("mine")

    with pytest.raises(InputError, match="the run is finished, but could not be named"):
        work()
    assert [path.name for path in final.iterdir()] == ["precious"]
    (kept,) = set(tmp_path.iterdir()) - {final}
    assert any(kept.iterdir())  # hours of work are not thrown away


def test_a_relative_folder_is_made_where_one_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with run_folder(tmp_path.relative_to(tmp_path) / "one") as partial:
        fill(partial)
    assert (tmp_path / "one" / "results.json").exists()


def linked(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    return tmp_path / "link"


def dangling(tmp_path):
    (tmp_path / "link").symlink_to("nowhere")
    return tmp_path / "link"


@pytest.mark.parametrize("place", [linked, dangling])
def test_a_link_is_refused_before_the_work_or_filled_after_it(tmp_path, place):
    final = place(tmp_path)
    try:
        check_free(final)
    except InputError:
        return
    with run_folder(final) as partial:
        fill(partial)
    assert (final / "results.json").exists()


def test_the_working_folder_itself_is_refused_before_the_work_or_filled_after_it(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    dot = tmp_path.relative_to(tmp_path)
    try:
        check_free(dot)
    except InputError:
        return
    with run_folder(dot) as partial:
        fill(partial)
    assert (tmp_path / "results.json").exists()
