"""Where the data is looked for, and in which order."""

import functools
import shutil

import pytest
from conftest import make_folder

from clip_lib.config import Config
from clip_lib.data import source
from clip_lib.errors import ClipError

# Port 9 of this machine: nothing listens there, the connection is refused at once.
UNREACHABLE = "http://127.0.0.1:9/archive.zip"


@pytest.fixture(autouse=True)
def offline(tmp_path, monkeypatch):
    """An empty working folder, and an archive that cannot be reached."""
    monkeypatch.chdir(tmp_path)
    for name, change in (
        ("download_archive", {"url": UNREACHABLE}),
        ("draw_scenes", {"per_label": 1}),
    ):
        changed = functools.partial(getattr(source, name), **change)
        monkeypatch.setattr(source, name, changed)


def test_the_configured_folder_comes_first(tiny_folder, tmp_path):
    make_folder(tmp_path / "data/flickr", per_label=1)
    config = Config(dataset_dir=str(tiny_folder))
    assert source.find_folder(config) == (tiny_folder, False)
    with pytest.raises(ClipError, match="nowhere: no such data folder"):
        source.find_folder(Config(dataset_dir="nowhere"))


@pytest.mark.parametrize("place", ["data/flickr", "data/flickr/flickr_subset2"])
def test_then_the_default_folder_also_with_that_of_the_archive(tmp_path, place):
    made = make_folder(tmp_path / place, per_label=1)
    for config in (Config(), Config(dataset_dir="data/flickr")):
        folder, drawn = source.find_folder(config)
        assert folder.resolve() == made and not drawn


def test_then_an_archive_that_lies_there(tmp_path):
    made = make_folder(tmp_path / "made/flickr_subset2", per_label=1)
    (tmp_path / "data/flickr").mkdir(parents=True)
    shutil.make_archive("data/flickr/flickr_subset2", "zip", made.parent)
    folder, drawn = source.find_folder(Config())
    assert (folder / "images/dog/dog_001.jpg").is_file() and not drawn


def test_then_drawn_scenes_and_it_is_said_loudly(capsys):
    folder, drawn = source.find_folder(Config())
    assert drawn and (folder / "captions.csv").is_file()
    message = capsys.readouterr().err
    assert "DRAWN SCENES" in message and UNREACHABLE in message
    assert source.find_folder(Config(dataset_dir="scenes")) == (folder, drawn)
    assert not capsys.readouterr().err
