"""Where the data is looked for, and in which order."""

import shutil

import pytest
from conftest import make_folder

from clip_lib.config import Config
from clip_lib.data import source
from clip_lib.data.source import download_archive

# Port 9 of this machine: nothing listens there, the connection is refused at once.
UNREACHABLE = "http://127.0.0.1:9/archive.zip"


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """An empty working folder, and an archive that cannot be reached."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        source,
        "download_archive",
        lambda folder: download_archive(folder, UNREACHABLE, timeout=2),
    )
    few = source.draw_scenes
    monkeypatch.setattr(source, "draw_scenes", lambda folder: few(folder, per_label=1))
    return tmp_path


def test_the_configured_folder_comes_first(offline, tiny_folder):
    make_folder(offline / "data/flickr", per_label=1)
    config = Config(dataset_dir=str(tiny_folder))
    assert source.find_folder(config) == (tiny_folder, False)


def test_a_configured_folder_that_is_not_there_is_an_error(offline):
    with pytest.raises(ValueError, match="nowhere: no such data folder"):
        source.find_folder(Config(dataset_dir="nowhere"))


def test_then_the_default_folder(offline):
    make_folder(offline / "data/flickr", per_label=1)
    folder, drawn = source.find_folder(Config())
    assert folder.resolve() == offline / "data/flickr"
    assert not drawn


def test_then_drawn_scenes_and_it_is_said_loudly(offline, capsys):
    folder, drawn = source.find_folder(Config())
    assert drawn
    assert (folder / "captions.csv").is_file()
    message = capsys.readouterr().err
    assert "DRAWN SCENES" in message
    assert UNREACHABLE in message


def test_drawn_scenes_can_be_asked_for(offline, capsys):
    assert source.find_folder(Config(dataset_dir="scenes"))[1]
    assert "could not be downloaded" not in capsys.readouterr().err


def test_an_archive_unpacked_by_hand_with_its_folder_is_found(offline):
    make_folder(offline / "data/flickr/flickr_subset2", per_label=1)
    folder, drawn = source.find_folder(Config())
    assert (folder / "captions.csv").is_file() and not drawn
    outer = source.find_folder(Config(dataset_dir="data/flickr"))[0]
    assert (outer / "captions.csv").is_file()


def test_an_archive_left_as_it_is_gets_unpacked(offline):
    made = make_folder(offline / "made/flickr_subset2", per_label=1)
    (offline / "data/flickr").mkdir(parents=True)
    shutil.make_archive("data/flickr/flickr_subset2", "zip", made.parent)
    folder, drawn = source.find_folder(Config())
    assert (folder / "images/dog/dog_001.jpg").is_file() and not drawn
