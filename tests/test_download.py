"""Where the data is looked for; the archive arrives complete, or not at all."""

import functools
import http.server
import io
import os
import shutil
import stat
import threading
import time
import zipfile

import pytest
from conftest import make_folder

from clip_lib.config import Config
from clip_lib.data import source
from clip_lib.data.source import download_archive, unpack_archive
from clip_lib.errors import ClipError

NOBODY = "http://127.0.0.1:9/nobody_listens.zip"
DATA_SET = {
    "captions.csv": b"image,caption\n",
    "captions/dog_001.txt": b"A dog runs.\n",
    "images/dog/dog_001.jpg": b"\xff\xd8 not really a picture " * 40,
}
LINK = zipfile.ZipInfo("images/cat")
LINK.create_system = 3  # Unix: the high half of external_attr is the file mode.
LINK.external_attr = (stat.S_IFLNK | 0o777) << 16


def zip_bytes(files=DATA_SET, prefix=""):
    """Return a zip archive; the keys of ``files`` are names or ZipInfo objects."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for entry, content in files.items():
            name = prefix + entry if isinstance(entry, str) else entry
            archive.writestr(name, content)
    return buffer.getvalue()


def patched(offset, new, **options):
    """Return an archive in whose directory the bytes at an offset are replaced."""
    content = zip_bytes(**options)
    place = content.find(b"PK\x01\x02") + offset
    return content[:place] + new + content[place + len(new) :]


def tree(folder):
    """Return the content of a folder, as {relative path: bytes}."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def send(body, status=200, missing=0):
    """Return an answer, announced ``missing`` bytes longer than it is."""

    def answer(handler):
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body) + missing))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


@pytest.fixture
def serve(monkeypatch):
    """Start a local server that answers so; return its address."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    servers = []

    def start(answer):
        methods = {"do_GET": answer, "log_message": lambda *arguments: None}
        handler = type("Handler", (http.server.BaseHTTPRequestHandler,), methods)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads, server.block_on_close = True, False
        threading.Thread(target=server.serve_forever, args=(0.02,)).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/data.zip"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def folder(tmp_path):
    """The target, as in the repository: it holds only a README.md."""
    folder = tmp_path / "data" / "flickr"
    folder.mkdir(parents=True)
    (folder / "README.md").write_text("ours")
    return folder


def assert_holds(folder, files):
    """A folder holds these files and README.md, and nothing lies beside it."""
    assert tree(folder) == files | {"README.md": b"ours"}
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


@pytest.mark.parametrize("prefix", ["", "flickr_subset2/"])
def test_an_archive_is_downloaded_and_unpacked_once(serve, folder, prefix):
    junk = {"__MACOSX/captions.txt": b"x"}
    files = DATA_SET | {"README.md": b"theirs"} | junk
    assert download_archive(folder, serve(send(zip_bytes(files, prefix)))) == folder
    assert_holds(folder, DATA_SET)
    (folder / "captions/dog_001.txt").write_bytes(b"edited")
    download_archive(folder, NOBODY)
    assert (folder / "captions/dog_001.txt").read_bytes() == b"edited"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (send(b"", 404), "404"),
        (send(b"<html>Sign in first</html>"), "not a zip file"),
        (send(zip_bytes(), missing=1000), "IncompleteRead"),
        (lambda handler: handler.wfile.write(b"hello\r\n"), "hello"),
        (lambda handler: time.sleep(1), "timed out"),
        (lambda handler: send(b"PK", missing=9)(handler) or time.sleep(1), "timed out"),
        (None, "refused"),
    ],
)
def test_a_failed_download_is_one_sentence(serve, folder, answer, message):
    url = serve(answer) if answer else NOBODY
    with pytest.raises(ClipError, match=message) as caught:
        download_archive(folder, url, timeout=0.3)
    assert_holds(folder, {})
    assert str(caught.value).startswith(url) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "entry", ["../evil.txt", "images/../../evil.txt", "/evil.txt", "..\\evil.txt", LINK]
)
def test_no_entry_leaves_the_folder(folder, tmp_path, entry):
    archive = tmp_path / "by_hand.zip"
    archive.write_bytes(zip_bytes(DATA_SET | {entry: b"/etc"}))
    unpack_archive(archive, folder)
    assert DATA_SET.keys() < tree(folder).keys()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["by_hand.zip", "data"]
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert not any(path.is_symlink() for path in folder.rglob("*"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zip_bytes().replace(b"not really", b"not.really"), "Bad CRC-32"),
        (patched(8, b"\x01"), "encrypted"),
        # A bomb behind a small announced size, and an announced one.
        (patched(24, b"\x0a\0\0\0", files={"captions.csv": b"0" * 10_000}), "CRC"),
        (patched(24, (2 * 1024**3).to_bytes(4, "little")), "too large"),
        (zip_bytes(dict.fromkeys(map(str, range(9)), b"")), "9 entries"),
        (zip_bytes({"one/two/captions.csv": b"x"}), "0 captions.csv"),
        (zip_bytes({f"{n}/captions.csv": b"x" for n in "ab"}), "2 captions.csv"),
        (zip_bytes({"captions.csv/dog_001.txt": b"x"}), "instead of one file"),
    ],
)
def test_a_bad_archive_is_refused(folder, tmp_path, monkeypatch, content, message):
    monkeypatch.setattr(source, "MAX_ENTRIES", 8)
    archive = tmp_path / "by_hand.zip"
    archive.write_bytes(content)
    with pytest.raises(ClipError) as caught:
        unpack_archive(archive, folder)
    assert_holds(folder, {})
    assert archive.read_bytes() == content
    said = str(caught.value)
    assert said.startswith(f"{archive}: expected") and "\n" not in said
    assert message in said


@pytest.mark.parametrize("moved", [None, 0, 1])
def test_an_interruption_is_made_good_by_the_same_call(
    serve, folder, monkeypatch, moved
):
    """While unpacking (None), or after so many parts were moved into place."""
    url, done = serve(send(zip_bytes())), []

    def stop(*arguments):
        if len(done) == (moved or 0):
            raise KeyboardInterrupt
        done.append(os.rename(*arguments))

    place = (zipfile.ZipFile, "extractall") if moved is None else (source.os, "replace")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(*place, stop)
        download_archive(folder, url)
    assert not (folder / "captions.csv").exists()
    assert [path.name for path in folder.parent.iterdir()] == ["flickr"]
    download_archive(folder, url)
    assert_holds(folder, DATA_SET)


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """An empty working folder, and an archive that cannot be reached."""
    monkeypatch.chdir(tmp_path)
    for name, change in (
        ("download_archive", {"url": NOBODY}),
        ("draw_scenes", {"per_label": 1}),
    ):
        changed = functools.partial(getattr(source, name), **change)
        monkeypatch.setattr(source, name, changed)


def test_the_configured_folder_comes_first(offline, tiny_folder, tmp_path):
    make_folder(tmp_path / "data/flickr", per_label=1)
    config = Config(dataset_dir=str(tiny_folder))
    assert source.find_folder(config) == (tiny_folder, False)
    with pytest.raises(ClipError, match="nowhere: no such data folder"):
        source.find_folder(Config(dataset_dir="nowhere"))


@pytest.mark.parametrize("place", ["data/flickr", "data/flickr/flickr_subset2"])
def test_then_the_default_folder_also_with_that_of_the_archive(
    offline, tmp_path, place
):
    made = make_folder(tmp_path / place, per_label=1)
    for config in (Config(), Config(dataset_dir="data/flickr")):
        folder, drawn = source.find_folder(config)
        assert folder.resolve() == made and not drawn


def test_then_an_archive_that_lies_there(offline, tmp_path):
    made = make_folder(tmp_path / "made/flickr_subset2", per_label=1)
    (tmp_path / "data/flickr").mkdir(parents=True)
    shutil.make_archive("data/flickr/flickr_subset2", "zip", made.parent)
    folder, drawn = source.find_folder(Config())
    assert (folder / "images/dog/dog_001.jpg").is_file() and not drawn


def test_then_drawn_scenes_and_it_is_said_loudly(offline, capsys):
    folder, drawn = source.find_folder(Config())
    assert drawn and (folder / "captions.csv").is_file()
    message = capsys.readouterr().err
    assert "DRAWN SCENES" in message and NOBODY in message
    assert source.find_folder(Config(dataset_dir="scenes")) == (folder, drawn)
    # By its own name, or that of the folder around it, it is known again.
    for name in (folder, folder.parent):
        assert source.find_folder(Config(dataset_dir=str(name))) == (folder, drawn)
    assert not capsys.readouterr().err
