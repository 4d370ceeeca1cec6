"""The index of a folder of photos: what is read, what is kept, what is never lost."""

import dataclasses
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from clip_lib.retrieval import embed_files as readable
from clip_lib.retrieval.embed_files import embed_readable
from clip_lib.retrieval.index import Index
from clip_lib.retrieval.photo_folder import (
    index_file,
    list_pictures,
    open_gallery,
    update_index,
)
from clip_lib.retrieval.search import (
    IMAGE_INDEX_FILE,
    MODEL_FILE,
    TEXT_INDEX_FILE,
    Clip,
)


@pytest.fixture(scope="module")
def loaded(run_config):
    return Clip.load(run_config.model_path(MODEL_FILE))


@pytest.fixture
def clip(loaded, monkeypatch):
    """A CLIP that notes which pictures it embeds, in ``asked``."""
    embed, asked = Clip.embed_images, []

    def noted(self, paths):
        asked.append([os.path.basename(path) for path in paths])
        return embed(self, paths)

    monkeypatch.setattr(Clip, "embed_images", noted)
    monkeypatch.setattr(Clip, "asked", asked, raising=False)
    return loaded


def draw(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (20, 30, 3), "uint8")
    Image.fromarray(pixels).save(path)


@pytest.fixture
def photos(tmp_path):
    """Four pictures, and names of which none is one."""
    folder = tmp_path / "mes photos"
    names = ("a.jpg", "été/plage à midi.PNG", "été/nuit/b.webp", "'; rm -rf $HOME.gif")
    for seed, name in enumerate(names):
        draw(folder / name, seed)
    draw(folder / ".hidden/c.jpg")
    draw(folder / ".d.jpg")
    (folder / "notes.txt").write_text("no picture")
    (folder / "folder.jpg").mkdir()
    return folder


def names(path):
    return [os.path.basename(name) for name in Index.load(path).items["paths"]]


def test_a_folder_is_walked_but_not_left(photos, tmp_path):
    draw(tmp_path / "outside/e.jpg")
    (photos / "link.jpg").symlink_to(tmp_path / "outside/e.jpg")
    (photos / "linked").symlink_to(tmp_path / "outside")
    (photos / "broken.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (photos / "loop").symlink_to(photos)
    table = list_pictures(photos)
    expected = ["'; rm -rf $HOME.gif", "a.jpg", "été/nuit/b.webp"]
    expected.append("été/plage à midi.PNG")
    assert table["paths"].tolist() == [str(photos / name) for name in expected]
    about = (photos / "a.jpg").stat()
    assert table["size"][1] == about.st_size
    assert table["mtime_ns"][1] == about.st_mtime_ns
    # By way of a link to it, a folder is the same folder.
    (tmp_path / "way").symlink_to(photos)
    assert list_pictures(tmp_path / "way").equals(table)


def test_only_what_is_new_or_changed_is_read_again(clip, photos, tmp_path):
    path = tmp_path / "index.npz"
    assert str(update_index(clip, photos, path)).startswith("4 new, 0 changed, 0 gone")
    clip.asked.clear()
    assert update_index(clip, photos, path).kept == 4
    assert clip.asked == []

    draw(photos / "new.bmp", 7)
    draw(photos / "a.jpg", 8)
    os.utime(photos / "a.jpg", ns=(1, 1))
    (photos / "été/nuit/b.webp").rename(photos / "moved.webp")
    changes = update_index(clip, photos, path)
    assert str(changes) == "2 new, 1 changed, 1 gone, 2 kept, 0 unreadable"
    assert clip.asked == [["a.jpg", "moved.webp", "new.bmp"]]
    # Each row has the vector of its own picture, kept or new.
    index = Index.load(path)
    assert names(path)[1:4] == ["a.jpg", "moved.webp", "new.bmp"]
    again = clip.embed_images(index.items["paths"])
    assert np.allclose(index.embeds, again, atol=1e-5)
    assert len(np.unique(index.embeds.round(4), axis=0)) == 5


@pytest.mark.parametrize("changed", ["size", "time"])
def test_a_size_or_a_time_is_enough_to_read_again(clip, photos, tmp_path, changed):
    update_index(clip, photos, tmp_path / "index.npz")
    about = (photos / "a.jpg").stat()
    if changed == "size":
        Image.new("RGB", (90, 90)).save(photos / "a.jpg")
        os.utime(photos / "a.jpg", ns=(about.st_atime_ns, about.st_mtime_ns))
    else:
        os.utime(photos / "a.jpg", ns=(about.st_atime_ns, about.st_mtime_ns + 1))
    clip.asked.clear()
    assert update_index(clip, photos, tmp_path / "index.npz").changed == 1
    assert clip.asked == [["a.jpg"]]


def test_another_model_reads_everything_again(clip, photos, tmp_path, monkeypatch):
    path = tmp_path / "index.npz"
    update_index(clip, photos, path)
    monkeypatch.setattr(Clip, "fingerprint", "another")
    changes = update_index(clip, photos, path)
    assert (changes.new, changes.changed, changes.kept) == (0, 4, 0)
    assert Index.load(path).model == "another"


def test_what_cannot_be_read_is_left_out_and_named(clip, photos, tmp_path):
    path = tmp_path / "index.npz"
    update_index(clip, photos, path)
    (photos / "a.jpg").write_bytes(b"not a picture")
    (photos / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut")
    changes = update_index(clip, photos, path)
    assert str(changes) == "0 new, 0 changed, 0 gone, 3 kept, 2 unreadable"
    assert [str(photos / "a.jpg") in changes.unreadable[0]] == [True]
    assert "cut.jpg: not a readable picture" in changes.unreadable[1]
    assert "a.jpg" not in names(path)
    # Once mended it is there again.
    draw(photos / "a.jpg")
    assert update_index(clip, photos, path).new == 1


@pytest.mark.skipif(os.name != "posix", reason="names of bytes are of Linux")
def test_a_name_that_is_no_text_is_left_out(clip, photos, tmp_path):
    try:
        shutil.copy(photos / "a.jpg", os.fsencode(photos) + b"/caf\xe9.jpg")
    except OSError:
        pytest.skip("this file system takes names in UTF-8 only")
    changes = update_index(clip, photos, tmp_path / "index.npz")
    assert changes.new == 4 and "caf\\udce9.jpg: expected" in changes.unreadable[0]
    assert update_index(clip, photos, tmp_path / "index.npz").kept == 4


def test_pictures_are_embedded_a_few_at_a_time(clip, photos, monkeypatch):
    monkeypatch.setattr(readable, "CHUNK", 2)
    (photos / "b.jpg").write_bytes(b"not a picture")
    paths = list_pictures(photos)["paths"]
    read, embeds, faults = embed_readable(clip, paths)
    assert read == [path for path in paths if not path.endswith("/b.jpg")]
    assert len(embeds) == 4 and len(faults) == 1
    assert max(map(len, clip.asked)) == 2
    assert np.allclose(embeds, clip.embed_images(read), atol=1e-5)


def test_an_interrupted_update_leaves_the_index_as_it_was(
    clip, photos, tmp_path, monkeypatch
):
    path = tmp_path / "index.npz"
    update_index(clip, photos, path)
    before = path.read_bytes()
    draw(photos / "new.jpg")

    def interrupt(self, paths):
        raise KeyboardInterrupt

    monkeypatch.setattr(Clip, "embed_images", interrupt)
    with pytest.raises(KeyboardInterrupt):
        update_index(clip, photos, path)
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["index.npz", "mes photos"]


def test_a_folder_without_pictures_is_refused_and_its_index_kept(
    clip, photos, tmp_path
):
    path = tmp_path / "index.npz"
    update_index(clip, photos, path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="nowhere: no such folder"):
        update_index(clip, tmp_path / "nowhere", path)
    # As when a disk is not mounted.
    for name in list_pictures(photos)["paths"]:
        os.remove(name)
    with pytest.raises(ValueError, match=r"no picture in it; expected files .*\.webp"):
        update_index(clip, photos, path)
    (photos / "a.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match=r"not one of its 1 pictures .*a\.jpg"):
        update_index(clip, photos, path)
    assert path.read_bytes() == before


def test_no_other_file_is_replaced(clip, photos, run_config, tmp_path):
    draw(tmp_path / "other/a.jpg")
    update_index(clip, tmp_path / "other", tmp_path / "other.npz")
    trained = run_config.model_path(IMAGE_INDEX_FILE)
    for path in (trained, tmp_path / "other.npz"):
        before = path.read_bytes()
        with pytest.raises(ValueError, match="name another file"):
            update_index(clip, photos, path)
        assert path.read_bytes() == before
    with pytest.raises(ValueError, match=r"notes\.txt: expected .* \.npz"):
        update_index(clip, photos, photos / "notes.txt")


def test_folders_of_one_name_have_two_indexes(tmp_path):
    one, other = (index_file("m/clip.keras", tmp_path / d / "p") for d in "ab")
    assert one != other and one.parent == other.parent
    assert one.name.startswith("folder_p_")
    spelt = tmp_path / "b" / ".." / "a" / "p"
    assert index_file("m/clip.keras", spelt) == one
    assert index_file("m/clip.keras", "/").suffix == ".npz"


def test_a_folder_or_its_index_is_a_gallery(clip, photos, run_config, tmp_path):
    model_file = tmp_path / "models" / MODEL_FILE
    shutil.copytree(run_config.model_dir, model_file.parent)
    with pytest.raises(ValueError, match="not indexed for this model; `python -m"):
        open_gallery(model_file, str(photos))
    path = index_file(model_file, photos)
    update_index(clip, photos, path)
    # The training's own indexes are not needed for it.
    (model_file.parent / TEXT_INDEX_FILE).unlink()
    for gallery in (str(photos), str(path)):
        search, split = open_gallery(model_file, gallery)
        answers = search.images_for("the grass", 9, split)
        assert len(answers) == 4
        assert answers["probability"].sum() == pytest.approx(1)
        with pytest.raises(ValueError, match="expected a text as query"):
            search.texts_for(photos / "a.jpg", 1, split)


@pytest.mark.skipif(os.name != "posix", reason="Windows replaces no file in use")
def test_an_update_does_not_change_a_gallery_in_use(clip, photos, run_config, tmp_path):
    path = tmp_path / "index.npz"
    update_index(clip, photos, path)
    search, split = open_gallery(run_config.model_path(MODEL_FILE), str(path))
    # The rows lie in the file that is about to be replaced.
    assert not search.images.embeds.flags.writeable
    before = search.images_for("the grass", 9, split)
    draw(photos / "new.jpg", 7)
    assert update_index(clip, photos, path).new == 1
    assert search.images_for("the grass", 9, split).equals(before)
    assert len(names(path)) == 5


def test_a_gallery_that_does_not_fit_is_refused(clip, photos, run_config, tmp_path):
    model_file, path = run_config.model_path(MODEL_FILE), tmp_path / "index.npz"
    texts = str(run_config.model_path(TEXT_INDEX_FILE))
    with pytest.raises(ValueError, match="without pictures"):
        open_gallery(model_file, texts)
    update_index(clip, photos, path)
    dataclasses.replace(Index.load(path), model="another").save(path)
    with pytest.raises(ValueError, match="another model than this one; make the index"):
        open_gallery(model_file, str(path))
    with pytest.raises(ValueError, match="nowhere: no such folder"):
        open_gallery(model_file, str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match=r"none\.npz: no such index"):
        open_gallery(model_file, str(tmp_path / "none.npz"))
