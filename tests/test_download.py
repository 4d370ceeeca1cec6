"""The course's archive arrives complete, or not at all."""

import errno
import http.server
import io
import os
import stat
import threading
import urllib.error
import zipfile
from pathlib import Path

import pytest

from clip_lib.data import download
from clip_lib.data.download import DownloadError, download_archive, unpack_archive

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


def tree(folder):
    """Return what a folder holds, as {relative path: bytes}."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


class Server(http.server.ThreadingHTTPServer):
    """A local server: ``answers`` says, for each path, how to (mis)behave."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.requests, self.closing = {}, [], threading.Event()

    def url(self, path="/data.zip"):
        return f"http://127.0.0.1:{self.server_port}{path}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests.append(self.path)
        self.server.answers[self.path](self)

    def reply(self, body, status=200, length=True, **headers):
        self.send_response(status)
        if length:
            missing = 1000 if length == "too long" else 0
            self.send_header("Content-Length", str(len(body) + missing))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        """Keep the tests' output clean."""


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    server.answers["/data.zip"] = lambda handler: handler.reply(zip_bytes())
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


def assert_untouched(folder):
    assert tree(folder) == {"README.md": b"ours"}
    assert [path.name for path in folder.parent.iterdir()] == ["flickr"]


def assert_complete(folder):
    assert tree(folder) == DATA_SET | {"README.md": b"ours"}
    assert [path.name for path in folder.parent.iterdir()] == ["flickr"]


def refusal(folder, content):
    """Unpack a refused archive; return the message, once its effects are checked."""
    zip_path = folder.parent.parent / "by_hand.zip"
    zip_path.write_bytes(content)
    with pytest.raises(DownloadError) as caught:
        unpack_archive(zip_path, folder)
    assert_untouched(folder)
    assert zip_path.read_bytes() == content
    message = str(caught.value)
    assert str(zip_path) in message and "expected" in message
    assert "\n" not in message and caught.value.__cause__ is not None
    return message


def failed_download(folder, url, timeout=5.0):
    """Fail to download; return the message, once its effects are checked."""
    with pytest.raises(DownloadError) as caught:
        download_archive(folder, url, timeout)
    assert_untouched(folder)
    message = str(caught.value)
    assert url in message and "expected" in message and "\n" not in message
    cause = caught.value.__cause__
    assert cause is not None
    if isinstance(cause, urllib.error.HTTPError):
        cause.close()  # It holds the connection, which pytest would report later.
    return message


# What works.


@pytest.mark.parametrize("prefix", ["", "flickr_subset2/"])
def test_download_with_and_without_a_leading_folder(server, folder, prefix):
    body = zip_bytes(prefix=prefix, method=zipfile.ZIP_DEFLATED)
    server.answers["/data.zip"] = lambda handler: handler.reply(body)
    assert download_archive(folder, server.url()) == folder
    assert_complete(folder)


def test_the_target_and_its_parents_are_created(server, tmp_path):
    folder = tmp_path / "new" / "flickr"
    download_archive(str(folder), server.url())
    assert tree(folder) == DATA_SET


def test_archive_with_nothing_but_captions_csv(tmp_path):
    (tmp_path / "small.zip").write_bytes(zip_bytes({"captions.csv": b"x"}))
    unpack_archive(tmp_path / "small.zip", tmp_path / "flickr")
    assert tree(tmp_path / "flickr") == {"captions.csv": b"x"}


def test_second_call_sends_no_request(server, folder):
    download_archive(folder, server.url())
    (folder / "captions" / "dog_001.txt").write_bytes(b"edited")
    download_archive(folder, server.url())
    assert server.requests == ["/data.zip"]
    assert (folder / "captions" / "dog_001.txt").read_bytes() == b"edited"


def test_redirection_and_unknown_length(server, folder):
    server.answers["/old.zip"] = lambda handler: handler.reply(
        b"", 302, Location=server.url()
    )
    server.answers["/data.zip"] = lambda handler: handler.reply(
        zip_bytes(), length=False
    )
    download_archive(folder, server.url("/old.zip"))
    assert server.requests == ["/old.zip", "/data.zip"]
    assert_complete(folder)


def test_progress_goes_to_stderr(server, folder, capsys):
    download_archive(folder, server.url())
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Downloading: 100%" in captured.err


def test_unpack_by_hand_leaves_the_zip_and_the_readme(folder, tmp_path):
    zip_path = tmp_path / "by_hand.zip"
    content = zip_bytes(DATA_SET | {"README.md": b"theirs"}, "flickr_subset2/")
    zip_path.write_bytes(content)
    assert unpack_archive(zip_path, folder) == folder
    assert zip_path.read_bytes() == content
    assert_complete(folder)
    zip_path.unlink()
    unpack_archive(zip_path, folder)  # Complete already: the zip is not needed.


def test_junk_of_other_systems_is_ignored(folder, tmp_path):
    junk = {
        "__MACOSX/captions.csv": b"junk",
        "__MACOSX/flickr_subset2/._captions.csv": b"junk",
        "flickr_subset2/images/.DS_Store": b"junk",
    }
    files = {f"flickr_subset2/{name}": data for name, data in DATA_SET.items()}
    (tmp_path / "mac.zip").write_bytes(zip_bytes(junk | files))
    unpack_archive(tmp_path / "mac.zip", folder)
    assert_complete(folder)


def test_target_that_is_a_link_to_another_disk(folder, tmp_path, monkeypatch):
    link, rename, sources = tmp_path / "link", os.replace, []

    def move(source, target):
        sources.append(source)
        rename(source, target)

    monkeypatch.setattr(download.os, "replace", move)
    try:
        link.symlink_to(folder, target_is_directory=True)
    except OSError:
        pytest.skip("this system does not let us make symbolic links")
    (tmp_path / "by_hand.zip").write_bytes(zip_bytes())
    unpack_archive(tmp_path / "by_hand.zip", link)
    assert link.is_symlink()
    assert_complete(folder)
    # Moving works between two folders of the same disk only.
    assert len(sources) == len(DATA_SET)
    assert all(folder.parent.resolve() in source.parents for source in sources)


# What the server can do wrong.


def test_http_error(server, folder):
    server.answers["/no.zip"] = lambda handler: handler.send_error(404)
    assert "404" in failed_download(folder, server.url("/no.zip"))


def test_html_page_instead_of_a_zip(server, folder):
    server.answers["/data.zip"] = lambda handler: handler.reply(
        b"<html>Sign in first</html>", **{"Content-Type": "text/html"}
    )
    assert "not a zip file" in failed_download(folder, server.url())


def test_body_shorter_than_announced(server, folder):
    # The zip itself is intact: only the announced length tells.
    server.answers["/data.zip"] = lambda handler: handler.reply(
        zip_bytes(), length="too long"
    )
    length = len(zip_bytes())
    message = failed_download(folder, server.url())
    assert f"received {length} bytes instead of {length + 1000}" in message


def test_body_cut_without_an_announced_length(server, folder):
    server.answers["/data.zip"] = lambda handler: handler.reply(
        zip_bytes()[:-200], length=False
    )
    assert "not a zip file" in failed_download(folder, server.url())


def test_answer_that_is_not_http(server, folder):
    server.answers["/data.zip"] = lambda handler: handler.wfile.write(b"hello\r\n")
    assert "hello" in failed_download(folder, server.url())


def test_chunk_shorter_than_announced(server, folder):
    server.answers["/data.zip"] = lambda handler: handler.reply(
        b"10\r\nhello", length=False, **{"Transfer-Encoding": "chunked"}
    )
    assert "IncompleteRead" in failed_download(folder, server.url())


@pytest.mark.parametrize("begins", [False, True], ids=["silent", "stalls"])
def test_server_that_hangs(server, folder, begins):
    def hang(handler):
        if begins:
            handler.reply(zip_bytes()[:50], length="too long")
            handler.wfile.flush()
        server.closing.wait(5)

    server.answers["/data.zip"] = hang
    message = failed_download(folder, server.url(), timeout=0.3)
    assert "timed out" in message
    assert not server.closing.is_set()


def test_unreachable_host(server, folder):
    url = server.url()
    server.shutdown()
    server.server_close()
    assert "refused" in failed_download(folder, url)


def test_only_web_addresses(server, folder, tmp_path):
    local = tmp_path / "local.zip"
    local.write_bytes(zip_bytes())
    assert "not an http" in failed_download(folder, local.as_uri())
    server.answers["/data.zip"] = lambda handler: handler.reply(
        b"", 302, Location=local.as_uri()
    )
    assert "302" in failed_download(folder, server.url())
    assert "unknown url type" in failed_download(folder, "data.zip")


# What the archive can hold.


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
def test_entry_outside_the_target(folder, name):
    message = refusal(folder, zip_bytes(DATA_SET | {name: b"evil"}))
    assert f"entry {name!r} would leave the target folder" in message
    assert not [*folder.parent.parent.rglob("*evil*")]


def test_entry_that_is_a_symbolic_link(folder):
    link = zipfile.ZipInfo("images/cat")
    link.create_system = 3  # Unix: the high half of external_attr is the file mode.
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    message = refusal(folder, zip_bytes(DATA_SET | {link: b"/etc"}))
    assert "entry 'images/cat' is a symbolic link" in message


def test_encrypted_entry(folder):
    content = bytearray(zip_bytes())
    content[content.find(b"PK\x01\x02") + 8] |= 0x1
    content[content.find(b"PK\x03\x04") + 6] |= 0x1
    message = refusal(folder, bytes(content))
    assert "captions.csv" in message and "encrypted" in message


def test_unusual_compression(folder):
    message = refusal(folder, zip_bytes(method=zipfile.ZIP_BZIP2))
    assert "neither stored nor deflated" in message


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_corrupted_content(folder, method):
    content = bytearray(zip_bytes(method=method))
    content[content.find(b"images/dog/dog_001.jpg") + 22 + 20] ^= 0x10
    message = refusal(folder, bytes(content))
    if method == zipfile.ZIP_STORED:
        assert "Bad CRC-32 for file 'images/dog/dog_001.jpg'" in message


def test_entry_larger_than_it_says(folder):
    # So that no bomb can hide behind a small announced size.
    content = bytearray(zip_bytes({"captions.csv": b"0" * 10_000}))
    content[(at := content.find(b"PK\x01\x02") + 24) : at + 4] = b"\x0a\0\0\0"
    assert "CRC" in refusal(folder, bytes(content))


def test_too_many_bytes(folder):
    content = bytearray(zip_bytes())
    at = content.find(b"PK\x01\x02") + 24
    content[at : at + 4] = (2 * 1024**3).to_bytes(4, "little")
    assert "too large" in refusal(folder, bytes(content))


def test_too_many_entries(folder, monkeypatch):
    monkeypatch.setattr(download, "MAX_ENTRIES", len(DATA_SET) - 1)
    assert "3 entries" in refusal(folder, zip_bytes())


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"images/dog/dog_001.jpg": b"x"},
        {"one/two/captions.csv": b"x"},
        {"one/captions.csv": b"x", "two/captions.csv": b"x"},
        {"captions.csv/dog_001.txt": b"x"},
    ],
    ids=["empty", "none", "too deep", "ambiguous", "a folder"],
)
def test_captions_csv_is_missing(folder, files):
    assert "captions.csv instead of one file" in refusal(folder, zip_bytes(files))


def test_zip_that_does_not_exist(folder, tmp_path):
    with pytest.raises(DownloadError, match=r"No such file.*absent\.zip"):
        unpack_archive(tmp_path / "absent.zip", folder)
    assert_untouched(folder)


def test_random_damage_is_always_one_sentence(folder, tmp_path):
    # Sound or refused: no other exception may escape, whatever byte is wrong.
    sound = zip_bytes(method=zipfile.ZIP_DEFLATED)
    zip_path = tmp_path / "damaged.zip"
    refused = 0
    for position in range(0, len(sound), 3):
        damaged = bytearray(sound)
        damaged[position] ^= 0xFF
        zip_path.write_bytes(damaged)
        target = tmp_path / "targets" / str(position)
        try:
            unpack_archive(zip_path, target)
        except DownloadError as error:
            refused += 1
            assert not str(error).endswith(": .")  # Some errors have no text.
            assert not target.exists()
    assert refused > 50
    assert len([*(tmp_path / "targets").glob(".*")]) == 0


# Interruptions.


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")]
)
@pytest.mark.parametrize("moment", ["download", "unpacking"])
def test_interruption_leaves_nothing(server, folder, monkeypatch, moment, error):
    def interrupt(*arguments, **options):
        partial = {path.name for path in folder.parent.rglob("*")} - {"flickr"}
        assert "archive.zip" in partial  # There is something to clean up.
        raise error

    if moment == "download":
        monkeypatch.setattr(download.tqdm, "update", interrupt)
    else:
        monkeypatch.setattr(zipfile.ZipFile, "extract", interrupt)
    expected = DownloadError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected) as caught:
        download_archive(folder, server.url())
    if expected is DownloadError:
        assert "No space left" in str(caught.value)
    assert_untouched(folder)


@pytest.mark.parametrize("moves", range(len(DATA_SET)))
def test_interruption_while_moving_is_repaired(server, folder, monkeypatch, moves):
    done = []

    def move(source, target):
        if len(done) == moves:
            raise KeyboardInterrupt
        done.append(Path(target).name)
        rename(source, target)

    rename = os.replace
    monkeypatch.setattr(download.os, "replace", move)
    with pytest.raises(KeyboardInterrupt):
        download_archive(folder, server.url())
    assert len(done) == moves
    assert not (folder / "captions.csv").exists()
    assert [path.name for path in folder.parent.iterdir()] == ["flickr"]
    monkeypatch.undo()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    download_archive(folder, server.url())
    assert_complete(folder)
