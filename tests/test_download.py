"""The course's archive arrives complete, or not at all."""

import http.server
import io
import os
import stat
import threading
import zipfile

import pytest

from clip_lib.data import source
from clip_lib.data.source import download_archive, unpack_archive
from clip_lib.errors import ClipError

DATA_SET = {
    "captions.csv": b"image,caption\n",
    "captions/dog_001.txt": b"A dog runs.\n",
    "images/dog/dog_001.jpg": b"\xff\xd8 not really a picture " * 40,
}


def zip_bytes(files=DATA_SET, prefix="", method=zipfile.ZIP_STORED):
    """Return a zip archive; the keys of ``files`` are names or ZipInfo objects."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for entry, content in files.items():
            name = prefix + entry if isinstance(entry, str) else entry
            archive.writestr(name, content)
    return buffer.getvalue()


def patched(*changes, **options):
    """Return an archive in whose directory bytes at an offset are replaced."""
    content = bytearray(zip_bytes(**options))
    entry = content.find(b"PK\x01\x02")
    for offset, new in changes:
        content[entry + offset : entry + offset + len(new)] = new
    return bytes(content)


def tree(folder):
    """Return the content of a folder, as {relative path: bytes}."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests.append(self.path)
        self.server.answers[self.path](self)

    def reply(self, body, status=200, missing=0, length=True, **headers):
        """Answer with a body, announced ``missing`` bytes longer than it is."""
        self.send_response(status)
        if length:
            self.send_header("Content-Length", str(len(body) + missing))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        """Keep the tests' output clean."""


@pytest.fixture
def server(monkeypatch):
    """A local server: ``answers`` says, for each path, how to (mis)behave."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.closing = True, threading.Event()
    server.url = f"http://127.0.0.1:{server.server_port}"
    server.requests = []
    server.answers = {"/data.zip": lambda handler: handler.reply(zip_bytes())}
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.closing.set()
    server.shutdown()
    thread.join()
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


def refusal(folder, content):
    """Unpack a bad archive; return the message, once its effects are checked."""
    archive = folder.parent.parent / "by_hand.zip"
    archive.write_bytes(content)
    with pytest.raises(ClipError) as caught:
        unpack_archive(archive, folder)
    assert_holds(folder, {})
    assert archive.read_bytes() == content
    message = str(caught.value)
    assert message.startswith(f"{archive}: expected") and "\n" not in message
    return message


@pytest.mark.parametrize("prefix", ["", "flickr_subset2/"])
def test_an_archive_is_downloaded_and_unpacked_once(server, folder, prefix):
    body = zip_bytes(DATA_SET | {"README.md": b"theirs"}, prefix)
    server.answers["/old"] = lambda handler: handler.reply(
        b"", 302, Location=f"{server.url}/data.zip"
    )
    server.answers["/data.zip"] = lambda handler: handler.reply(body, length=False)
    assert download_archive(folder, f"{server.url}/old") == folder
    assert_holds(folder, DATA_SET)
    (folder / "captions/dog_001.txt").write_bytes(b"edited")
    download_archive(folder, f"{server.url}/old")
    assert server.requests == ["/old", "/data.zip"]
    assert (folder / "captions/dog_001.txt").read_bytes() == b"edited"


def hang(handler):
    handler.server.closing.wait(5)


def stall(handler):
    handler.reply(zip_bytes()[:50], missing=1000)
    handler.wfile.flush()
    hang(handler)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda handler: handler.send_error(404), "404"),
        (lambda handler: handler.reply(b"<html>Sign in</html>"), "not a zip file"),
        (lambda handler: handler.reply(zip_bytes(), missing=1000), "IncompleteRead"),
        (lambda handler: handler.reply(zip_bytes()[:-9], length=False), "not a zip"),
        (lambda handler: handler.wfile.write(b"hello\r\n"), "hello"),
        (lambda handler: handler.reply(b"", 302, Location="file:///a.zip"), "adapters"),
        (hang, "timed out"),
        (stall, "timed out"),
    ],
)
def test_a_failed_download_is_one_sentence(server, folder, answer, message):
    server.answers["/data.zip"] = answer
    with pytest.raises(ClipError, match=message) as caught:
        download_archive(folder, f"{server.url}/data.zip", timeout=0.3)
    assert_holds(folder, {})
    assert not server.closing.is_set()
    assert str(caught.value).startswith(server.url) and "\n" not in str(caught.value)


def test_an_address_without_a_server_is_one_sentence(folder):
    # Port 9 of this machine: nothing listens there.
    with pytest.raises(ClipError, match=r"^http://127.0.0.1:9/a.zip: .*refused"):
        download_archive(folder, "http://127.0.0.1:9/a.zip")
    with pytest.raises(ClipError, match=r"^file:///a.zip"):
        download_archive(folder, "file:///a.zip")
    assert_holds(folder, {})


def test_an_archive_of_another_hash_is_refused(server, folder, monkeypatch):
    monkeypatch.setattr(source, "ARCHIVE_HASH", "sha256:12ab")
    with pytest.raises(ClipError, match="hash"):
        download_archive(folder, f"{server.url}/data.zip")
    assert_holds(folder, {})


def test_junk_is_left_out_and_a_link_to_another_disk_is_followed(folder, tmp_path):
    link = tmp_path / "link"
    try:
        link.symlink_to(folder, target_is_directory=True)
    except OSError:
        pytest.skip("this system does not let us make symbolic links")
    junk = {"__MACOSX/captions.csv": b"x", "images/.DS_Store": b"x"}
    (tmp_path / "by_hand.zip").write_bytes(zip_bytes(junk | DATA_SET))
    unpack_archive(tmp_path / "by_hand.zip", link)
    assert link.is_symlink()
    assert_holds(folder, DATA_SET)


@pytest.mark.parametrize(
    "name",
    [
        "../evil.txt",
        "images/../../evil.txt",
        "/evil.txt",
        "C:/evil.txt",
        "C:evil.txt",
        "..\\evil.txt",
        "images\\dog.jpg",
        "..",
    ],
)
def test_an_entry_outside_the_target_is_refused(folder, name):
    message = refusal(folder, zip_bytes(DATA_SET | {name: b"evil"}))
    assert f"entry {name!r} would leave the target folder" in message
    assert not [*folder.parent.parent.rglob("*evil*")]


def test_a_symbolic_link_is_refused(folder):
    link = zipfile.ZipInfo("images/cat")
    link.create_system = 3  # Unix: the high half of external_attr is the file mode.
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    message = refusal(folder, zip_bytes(DATA_SET | {link: b"/etc"}))
    assert "entry 'images/cat' is a symbolic link" in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zip_bytes(method=zipfile.ZIP_BZIP2), "neither stored nor deflated"),
        (zip_bytes().replace(b"not really", b"not.really"), "Bad CRC-32"),
        (patched((8, b"\x01")), "encrypted"),
        # A bomb behind a small announced size, and an announced one.
        (patched((24, b"\x0a\0\0\0"), files={"captions.csv": b"0" * 10_000}), "CRC"),
        (patched((24, (2 * 1024**3).to_bytes(4, "little"))), "too large"),
        (zip_bytes({}), "0 captions.csv"),
        (zip_bytes({"one/two/captions.csv": b"x"}), "0 captions.csv"),
        (zip_bytes({f"{n}/captions.csv": b"x" for n in "ab"}), "2 captions.csv"),
        (zip_bytes({"captions.csv/dog_001.txt": b"x"}), "instead of one file"),
    ],
)
def test_a_bad_archive_is_refused(folder, content, message):
    assert message in refusal(folder, content)


def test_too_many_entries_are_refused(folder, monkeypatch):
    monkeypatch.setattr(source, "MAX_ENTRIES", len(DATA_SET) - 1)
    assert "3 entries" in refusal(folder, zip_bytes())


def test_random_damage_is_always_one_sentence(folder, tmp_path):
    # Sound or refused: no other exception may escape, whatever byte is wrong.
    sound, refused = zip_bytes(method=zipfile.ZIP_DEFLATED), 0
    for position in range(0, len(sound), 7):
        damaged = bytearray(sound)
        damaged[position] ^= 0xFF
        (tmp_path / "damaged.zip").write_bytes(damaged)
        target = tmp_path / "targets" / str(position)
        try:
            unpack_archive(tmp_path / "damaged.zip", target)
        except ClipError:
            refused += 1
            assert not target.exists()
    assert refused > 20
    assert not [*(tmp_path / "targets").glob(".*")]


@pytest.mark.parametrize("moved", [None, 0, 1])
def test_an_interruption_is_made_good_by_the_same_call(
    server, folder, monkeypatch, moved
):
    """While unpacking (None), or after so many parts were moved into place."""
    done = []

    def stop(*arguments):
        if len(done) == (moved or 0):
            raise KeyboardInterrupt
        done.append(os.rename(*arguments))

    place = (zipfile.ZipFile, "extractall") if moved is None else (source.os, "replace")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(*place, stop)
        download_archive(folder, f"{server.url}/data.zip")
    assert not (folder / "captions.csv").exists()
    assert [path.name for path in folder.parent.iterdir()] == ["flickr"]
    download_archive(folder, f"{server.url}/data.zip")
    assert_holds(folder, DATA_SET)


def test_a_full_disk_is_one_sentence(folder, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "extractall", full)
    assert "No space left" in refusal(folder, zip_bytes())
