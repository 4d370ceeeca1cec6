"""The index of a folder of photos: what is read, what is kept, what is never lost."""

import dataclasses
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from clip_lib.errors import ClipError
from clip_lib.retrieval import folder_index
from clip_lib.retrieval.folder_index import index_file, list_pictures, update_index
from clip_lib.retrieval.index import Index
from clip_lib.retrieval.photo_folder import open_folder, open_gallery
from clip_lib.retrieval.search import MODEL_FILE, TEXT_INDEX_FILE, Clip


@pytest.fixture(scope="module")
def clip(run_config):
    return Clip.load(run_config.model_path(MODEL_FILE))


@pytest.fixture
def read(monkeypatch):
    """The names of the pictures that are read."""
    load, names = folder_index.load_image, []

    def noted(path, size):
        names.append(os.path.basename(path))
        return load(path, size)

    monkeypatch.setattr(folder_index, "load_image", noted)
    return names


def draw(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (20, 30, 3), "uint8")
    Image.fromarray(pixels).save(path)


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Four pictures, read two at a time, and names of which none is one."""
    monkeypatch.setattr(folder_index, "CHUNK", 2)
    folder = tmp_path / "mes photos"
    names = ("a.jpg", "été/plage à midi.PNG", "été/nuit/b.webp", "'; rm -rf $HOME.gif")
    for seed, name in enumerate(names):
        draw(folder / name, seed)
    draw(folder / ".hidden/c.jpg")
    draw(folder / ".d.jpg")
    (folder / "notes.txt").write_text("no picture")
    (folder / "folder.jpg").mkdir()
    return folder


def test_a_folder_is_walked_but_not_left(photos, tmp_path):
    draw(tmp_path / "outside/e.jpg")
    (photos / "e.jpg").symlink_to(tmp_path / "outside/e.jpg")
    (photos / "linked").symlink_to(tmp_path / "outside")
    (photos / "broken.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (photos / "loop").symlink_to(photos)
    found, skipped = list_pictures(photos)
    expected = ["'; rm -rf $HOME.gif", "a.jpg", "été/nuit/b.webp"]
    expected.append("été/plage à midi.PNG")
    assert [path for path, *_ in found] == [str(photos / name) for name in expected]
    about = (photos / "a.jpg").stat()
    assert found[1][1:] == (about.st_size, about.st_mtime_ns)
    # By way of a link to it, a folder is the same folder.
    (tmp_path / "way").symlink_to(photos)
    assert list_pictures(tmp_path / "way") == (found, skipped)


def test_only_what_is_new_or_changed_is_read_again(clip, read, photos):
    assert str(update_index(clip, photos)[1]) == "4 read, 0 kept, 0 unreadable"
    read.clear()
    assert update_index(clip, photos)[1].kept == 4
    assert read == []

    draw(photos / "new.bmp", 7)
    (photos / "été/nuit/b.webp").rename(photos / "moved.webp")
    # Another picture of the same age, and a picture of the same size touched.
    size, age = photos / "a.jpg", photos / "'; rm -rf $HOME.gif"
    about = size.stat()
    Image.new("RGB", (90, 90)).save(size)
    os.utime(size, ns=(about.st_atime_ns, about.st_mtime_ns))
    os.utime(age, ns=(1, 1))
    _, changes = update_index(clip, photos)
    assert str(changes) == "2 read, 1 kept, 2 moved, 0 unreadable"
    assert sorted(read) == ["a.jpg", "new.bmp"]
    # Each row has the vector of its own picture, kept or new.
    index = Index.load(index_file(clip, photos))
    paths = index.items["paths"].tolist()
    assert paths == [path for path, *_ in list_pictures(photos)[0]]
    assert np.allclose(index.embeds, clip.embed_images(paths), atol=1e-5)
    assert len(np.unique(index.embeds.round(4), axis=0)) == 5


def test_what_cannot_be_read_is_left_out_and_named(clip, photos, monkeypatch):
    update_index(clip, photos)
    (photos / "a.jpg").write_bytes(b"not a picture")
    (photos / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut")
    _, changes = update_index(clip, photos)
    assert str(changes) == "0 read, 3 kept, 2 unreadable"
    assert str(photos / "a.jpg") in changes.unreadable[0]
    assert "cut.jpg: not a readable picture" in changes.unreadable[1]
    paths = Index.load(index_file(clip, photos)).items["paths"]
    assert str(photos / "a.jpg") not in paths.tolist()
    # It is not read again, and said again.
    with monkeypatch.context() as patch:
        patch.setattr(folder_index, "load_image", None)
        assert update_index(clip, photos)[1].unreadable == changes.unreadable
    # Once repaired it is there again.
    draw(photos / "a.jpg")
    assert update_index(clip, photos)[1].read == 1


@pytest.mark.skipif(os.name != "posix", reason="names of bytes are of Linux")
def test_a_name_that_is_no_text_is_left_out(clip, photos):
    try:
        shutil.copy(photos / "a.jpg", os.fsencode(photos) + b"/caf\xe9.jpg")
    except OSError:
        pytest.skip("this file system takes names in UTF-8 only")
    _, changes = update_index(clip, photos)
    assert changes.read == 4 and "caf\\udce9.jpg: expected" in changes.unreadable[0]
    assert update_index(clip, photos)[1].kept == 4


def test_a_failed_update_leaves_the_index_as_it_was(clip, photos, monkeypatch):
    update_index(clip, photos)
    path = index_file(clip, photos)
    before = path.read_bytes()
    draw(photos / "new.jpg", 9)

    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(folder_index, "load_image", interrupt)
        with pytest.raises(KeyboardInterrupt):
            update_index(clip, photos)
    os.remove(photos / "new.jpg")
    with pytest.raises(ClipError, match="nowhere: no such folder"):
        update_index(clip, photos.with_name("nowhere"))
    # As when a disk is not mounted.
    for name, *_ in list_pictures(photos)[0]:
        os.remove(name)
    with pytest.raises(ClipError, match=r"no picture in it; expected files .*\.webp"):
        update_index(clip, photos)
    (photos / "a.jpg").write_bytes(b"")
    with pytest.raises(ClipError, match=r"not one of its pictures .*a\.jpg"):
        update_index(clip, photos)
    assert path.read_bytes() == before
    assert list(path.parent.glob(f".{path.stem}*")) == []
    # A cache may be damaged: it is made again.
    path.write_bytes(before[:-1])
    draw(photos / "a.jpg")
    assert update_index(clip, photos)[1].read == 1


def test_an_interrupted_index_goes_on_from_its_last_batch(
    clip, photos, read, monkeypatch
):
    """Batches of two. The files of a batch appear whole: a killed process is alike."""
    for seed in range(5):
        draw(photos / f"new/{seed}.png", 20 + seed)
    load = folder_index.load_image  # That of the fixture, which notes what is read.

    def stop(path, size):
        if path.endswith("new/3.png"):
            raise KeyboardInterrupt
        return load(path, size)

    with monkeypatch.context() as patch:
        patch.setattr(folder_index, "load_image", stop)
        with pytest.raises(KeyboardInterrupt):
            update_index(clip, photos)
    path = index_file(clip, photos)
    saved = folder_index.saved_index(path).items["paths"].tolist()
    assert len(saved) in (4, 6) and not path.exists()
    read.clear()
    _, changes = update_index(clip, photos)
    assert (changes.read, changes.kept) == (9 - len(saved), len(saved))
    assert not {*read} & {os.path.basename(path) for path in saved}
    index = Index.load(path)
    assert np.allclose(index.embeds, clip.embed_images(index.items["paths"]), atol=1e-5)
    assert not list(path.parent.glob(f"{path.stem}.parts"))


def test_a_second_process_is_told_that_one_is_at_work(clip, photos, capsys):
    """And searches what is saved. The lock of a process that was killed is free."""
    lock = index_file(clip, photos).with_suffix(".lock")
    script = "import filelock, sys, time; lock = filelock.FileLock(sys.argv[1]); "
    script += "lock.acquire(); "
    lock.parent.mkdir(exist_ok=True)
    command = [sys.executable, "-c", script + "print(flush=True); time.sleep(600)"]
    with subprocess.Popen([*command, lock], stdout=subprocess.PIPE) as process:
        try:
            process.stdout.readline()
            expected = "another process is indexing it now"
            with pytest.raises(ClipError, match=expected):
                open_folder(clip, photos)
            process.kill()
            process.wait()
            open_folder(clip, photos)
            capsys.readouterr()
        finally:
            process.kill()
    draw(photos / "new.jpg", 8)
    with folder_index.filelock.FileLock(lock):
        search = open_folder(clip, photos)
    said = capsys.readouterr().err
    assert "is indexing it now. 4 pictures are searched" in said
    assert len(search.images.items) == 4


def test_what_is_skipped_is_counted_by_its_kind(clip, photos):
    for name in ("a.mov", "b.MP4", "été/c.dng", "d.mov.txt", ".e.mov"):
        (photos / name).touch()
    found = str(update_index(clip, photos)[1])
    assert found.endswith("0 unreadable, skipped 1 raw and 2 video")
    shutil.rmtree(photos)
    photos.mkdir()
    (photos / "a.psd").touch()
    with pytest.raises(ClipError, match=r"no picture in it.*; 1 other pictures"):
        update_index(clip, photos)


def test_an_index_lies_in_the_cache_of_the_user(clip, cache, tmp_path):
    """Not beside the model: models/pretrained is committed and handed in."""
    one, other = (index_file(clip, tmp_path / d / "p") for d in "ab")
    assert one != other and one.is_relative_to(cache)
    assert index_file(clip, tmp_path / "b" / ".." / "a" / "p") == one
    again = dataclasses.replace(clip, text_encoder=clip.image_encoder)
    assert index_file(again, tmp_path / "a/p") != one


def test_a_folder_is_a_gallery(clip, photos, run_config, tmp_path, capsys):
    model_file = tmp_path / "models" / MODEL_FILE
    shutil.copytree(run_config.model_dir, model_file.parent)
    before = sorted(model_file.parent.iterdir())
    # The training's own indexes are not needed for it.
    (model_file.parent / TEXT_INDEX_FILE).unlink()
    for changes in ("4 read, 0 kept, 0 unreadable", "1 read, 3 kept, 0 unreadable"):
        search, split = open_gallery(model_file, str(photos), run_config)
        said = capsys.readouterr().err  # After a slow start, a progress bar too.
        assert said.endswith(f"{photos}: indexed for this model, {changes}\n")
        draw(photos / "a.jpg", 9)
    assert before == sorted([*model_file.parent.iterdir(), before[-2]])
    answers = search.images_for("the grass", 9, split)
    assert len(answers) == 4
    assert answers["probability"].sum() == pytest.approx(1)
    with pytest.raises(ClipError, match="expected a text as query"):
        search.texts_for(photos / "a.jpg", 1, split)
    with pytest.raises(ClipError, match="'moon': no such folder; expected one"):
        open_gallery(model_file, "moon", run_config)


def test_a_data_folder_brings_its_captions(clip, photos, read, capsys):
    """Those of today's table, whatever lies beside them; a person's captions alone."""
    table = photos / "captions.csv"
    rows = ["image_path,label,caption,origin", "a.jpg,dog,A dog .,original"]
    rows += ["a.jpg,dog,A very big dog .,enriched", "été/nuit/b.webp,cat,One cat .,"]
    table.write_text("\n".join([*rows, "gone.jpg,cat,Gone ."]) + ",\n")
    search = open_folder(clip, photos)
    assert f"{photos / 'gone.jpg'}: no such picture" in capsys.readouterr().err
    assert [os.path.basename(path) for path in search.images.items["paths"]] == read[:2]
    assert search.images.items["labels"].tolist() == ["dog", "cat"]
    assert search.texts.items["captions"].tolist() == ["A dog .", "One cat ."]
    expected = clip.embed_texts(["A dog .", "One cat ."])
    assert np.allclose(search.texts.embeds, expected, atol=1e-5)
    # Only the words change: they are embedded anew, and no picture is read.
    rows[1] = rows[1].replace("A dog", "The grass")
    table.write_text("\n".join(rows) + "\n")
    read.clear()
    search = open_folder(clip, photos)
    assert read == [] and capsys.readouterr().err == ""
    expected = clip.embed_texts(["The grass .", "One cat ."])
    assert np.allclose(search.texts.embeds, expected, atol=1e-5)
    table.write_text("image_path\n")
    with pytest.raises(
        ClipError, match=r"captions\.csv: not exactly one column caption"
    ):
        open_folder(clip, photos)
