"""The search page's server: what it serves, and what it refuses."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from clip_lib.__main__ import main
from clip_lib.retrieval.search import IMAGE_INDEX_FILE, MODEL_FILE
from clip_lib.web.page import Page
from clip_lib.web.words import ENGLISH

pytest.importorskip("gradio", reason="pip install -r requirements-app.txt")
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def model(run_config):
    return str(run_config.model_path(MODEL_FILE))


@pytest.fixture(scope="module")
def address(model):
    """The address of a page that runs."""
    from clip_lib.web.app import launch

    app, url, _ = launch(Page.load([model]), quiet=True, prevent_thread_lock=True)
    yield url.rstrip("/")
    app.blocks.close()


@pytest.fixture(scope="module")
def client(address):
    from gradio_client import Client

    return Client(address, verbose=False)


def status_of(address, path, data=None, headers=None):
    request = urllib.request.Request(address + path, data, headers or {})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_it_serves_this_machine_alone(address):
    assert address.startswith("http://127.0.0.1:")
    port = int(address.rpartition(":")[2])
    other = socket.gethostbyname(socket.gethostname())
    if not other.startswith("127."):
        with pytest.raises(OSError), socket.create_connection((other, port), 2):
            pass


def test_a_program_may_ask_it(client, model, tiny_folder):
    from gradio_client import handle_file

    photo = handle_file(str(tiny_folder / "images/dog/dog_001.jpg"))
    page = Page.load([model])
    found = client.predict(model, "all", "a dog on the grass", api_name="/search_text")
    assert found == page.pictures_for(model, "all", "a dog on the grass", ENGLISH)
    path = str(tiny_folder / "images/dog/dog_001.jpg")
    found = client.predict(model, "all", photo, api_name="/search_picture")
    assert found == page.texts_for(model, "all", path, ENGLISH)
    question = (model, photo, "dog, water", "a {}")
    found = client.predict(*question, api_name="/classify")
    assert found == page.labels_for(model, path, "dog, water", "a {}", ENGLISH)


@pytest.mark.parametrize(
    "path",
    [
        "/file=/etc/passwd",
        "/file=../../../../etc/passwd",
        "/file={root}/README.md",
        "/file=README.md",
        "/file={model}",
        "/file={index}",
        "/file={photo}",
        "/file=file:///etc/passwd",
        "/file={address}/config",
        "/proxy={address}/config",
        "/file%3D%2Fetc%2Fpasswd",
        "/static/..%2f..%2f..%2f..%2f..%2f..%2fetc/passwd",
        "/runs",
        "/../monitoring/summary",
    ],
)
def test_no_file_is_served_but_uploads(address, model, tiny_folder, path):
    index = Path(model).parent / IMAGE_INDEX_FILE
    photo = tiny_folder / "images/dog/dog_001.jpg"
    names = {"root": ROOT, "model": model, "index": index, "photo": photo}
    path = path.format(address=address, **names)
    status, content = status_of(address, "/gradio_api" + path)
    assert 400 <= status < 500
    assert b"root:" not in content and b"version" not in content


@pytest.mark.parametrize(
    "upload",
    [
        {"path": "/etc/passwd"},
        {"path": "{photo}"},
        {"path": "{photo}", "url": "http://127.0.0.1:9/"},
        {"path": None, "url": "{address}/config"},
        {"path": "{address}/config"},
        {"path": None, "url": "data:image/png;base64,AAAA"},
        "{photo}",
        {},
    ],
    ids=str,
)
def test_a_question_cannot_name_a_file_of_ours(address, model, tiny_folder, upload):
    """A forged question: a path in place of an upload."""
    photo = str(tiny_folder / "images/dog/dog_001.jpg")
    text = json.dumps(upload).replace("{photo}", photo).replace("{address}", address)
    upload = json.loads(text)
    assert "<li>" not in ask(address, model, upload)


def test_the_same_question_about_an_upload_is_answered(address, model, tiny_folder):
    content = (tiny_folder / "images/dog/dog_001.jpg").read_bytes()
    path = json.loads(upload(address, "dog.jpg", content)[1])[0]
    assert ask(address, model, {"path": path}).count("<li>") == 5


def ask(address, model, picture):
    """Ask as a program without our client would; return what the server says."""
    if isinstance(picture, dict):
        picture["meta"] = {"_type": "gradio.FileData"}
    body = json.dumps({"data": [model, "all", picture]}).encode()
    headers = {"Content-Type": "application/json"}
    path = "/gradio_api/call/search_picture"
    status, content = status_of(address, path, body, headers)
    if status == 200:
        event = json.loads(content)["event_id"]
        _, content = status_of(address, f"{path}/{event}")
    return content.decode()


def upload(address, name, content):
    mark = b"----mark"
    head = f'Content-Disposition: form-data; name="files"; filename="{name}"'
    body = b"--" + mark + b"\r\n" + head.encode() + b"\r\n\r\n" + content
    headers = {"Content-Type": f"multipart/form-data; boundary={mark.decode()}"}
    return status_of(
        address, "/gradio_api/upload", body + b"\r\n--" + mark + b"--\r\n", headers
    )


def test_a_large_upload_is_refused(address):
    assert upload(address, "photo.jpg", b"0" * 1_000_000)[0] == 200
    status, content = upload(address, "photo.jpg", b"0" * 20_975_000)
    assert status == 413 and b"exceed" in content.lower()


@pytest.mark.parametrize("name", ["evil.svg", "evil.html", "evil.xml"])
def test_an_upload_is_never_a_page_of_ours(address, name):
    """Served back as something to save: its scripts never run at our address."""
    content = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
    path = json.loads(upload(address, name, content)[1])[0]
    with urllib.request.urlopen(f"{address}/gradio_api/file={path}") as answer:
        assert answer.headers["Content-Disposition"].startswith("attachment")
        assert answer.headers["Content-Type"] == "application/octet-stream"


def test_an_upload_cannot_choose_its_place(address, tmp_path):
    name = f"../../../../{tmp_path}/escaped.jpg"
    status, content = upload(address, name, b"content")
    assert not (tmp_path / "escaped.jpg").exists()
    if status == 200:
        assert ".." not in json.loads(content)[0]


def test_a_model_that_was_not_named_is_refused(client):
    with pytest.raises(Exception, match="not in the list of choices"):
        client.predict("/etc/passwd", "test", "a dog", api_name="/search_text")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 400),
        ({"Host": "127.0.0.1.evil.example"}, 400),
        ({"Host": "localhost"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1.evil.example"}, 403),
        ({"Origin": "http://localhost:8888"}, 200),
    ],
    ids=str,
)
def test_pages_of_other_sites_cannot_ask(address, headers, status):
    """Neither under a name that they point at this machine, nor from their own."""
    assert status_of(address, "/config", headers=headers)[0] == status
    assert status_of(address, "/gradio_api/upload", b"", headers)[0] != 200


def test_a_long_request_is_refused_unread(address):
    port = int(address.rpartition(":")[2])
    for size in (b"Content-Length: 21000001", b"Transfer-Encoding: chunked"):
        with socket.create_connection(("127.0.0.1", port), 5) as link:
            link.sendall(
                b"POST /gradio_api/queue/join HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Type: application/json\r\n" + size + b"\r\n\r\n"
            )
            assert b" 413 " in link.recv(1000)


def test_there_is_no_way_round_the_queue(address, model):
    body = json.dumps({"data": [model, "test", "a dog"]}).encode()
    headers = {"Content-Type": "application/json"}
    for path in ("/gradio_api/run/search_text", "/gradio_api/api/search_text"):
        assert status_of(address, path, body, headers)[0] == 404


class SlowPage(Page):
    """A page that counts how many questions it answers at the same time."""

    asked = now = most = 0

    def pictures_for(self, *question):
        """Take a moment, and say what number this answer has."""
        SlowPage.asked += 1
        SlowPage.now += 1
        SlowPage.most = max(SlowPage.most, SlowPage.now)
        time.sleep(0.3)
        SlowPage.now -= 1
        return f"answer {SlowPage.asked}"


def test_a_crowd_waits_in_line(model):
    """Of questions at once one is answered, and all are."""
    from gradio_client import Client

    from clip_lib.web.app import launch

    page = SlowPage(Page.load([model]).galleries)
    app, url, _ = launch(page, quiet=True, prevent_thread_lock=True)
    try:
        clients = [Client(url, verbose=False) for _ in range(4)]
        jobs = [
            client.submit(model, "test", "a dog", api_name="/search_text")
            for client in clients
        ]
        answers = {job.result(timeout=30) for job in jobs}
    finally:
        app.blocks.close()
    assert answers == {f"answer {number}" for number in (1, 2, 3, 4)}
    assert SlowPage.most == 1


def test_the_command_serves_until_ended_and_leaves_no_upload(
    model, tmp_path, tiny_folder
):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "clip_lib", "app", "--model", model]
    command += ["--port", str(port), "--json"]
    server = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    try:
        found = json.loads(server.stdout.readline())
        assert found["address"] == f"http://127.0.0.1:{port}/"
        assert found["folders"] == [str(tiny_folder / "images")]
        status, content = upload(found["address"].rstrip("/"), "dog.jpg", b"content")
        (path,) = json.loads(content)
        assert status == 200 and Path(path).is_relative_to(tmp_path)
        # The same port is not taken from it.
        assert main(["app", "--model", model, "--port", str(port)]) == 1
    finally:
        server.terminate()
        assert server.wait(20) == 130
    assert server.stderr.read() == "interrupted\n"
    assert not list(tmp_path.rglob("dog.jpg"))


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http"])
def test_a_port_that_cannot_be(port, capsys):
    with pytest.raises(SystemExit) as left:
        main(["app", f"--port={port}"])
    assert left.value.code == 2 and "expected 1 to 65535" in capsys.readouterr().err


def test_without_a_model_it_says_how_to_train_one(tmp_path, capsys):
    path = tmp_path / MODEL_FILE
    assert main(["app", "--model", str(path)]) == 1
    said = capsys.readouterr().err
    assert said == f"error: {path}: no such model; `make run` trains one.\n"


def test_without_gradio_it_says_what_to_install(model, monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "clip_lib.web.app", raising=False)
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert main(["app", "--model", model]) == 1
    assert "pip install -r requirements-app.txt" in capsys.readouterr().err


def test_it_shows_below_a_cell(model, tmp_path):
    """In Jupyter: the cell ends, and the page stands in a frame below it."""
    import nbformat
    from nbclient import NotebookClient

    code = (
        "from clip_lib.web.page import Page\n"
        "from clip_lib.web.app import launch\n"
        f"launch(Page.load([{model!r}]));"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    started = time.monotonic()
    NotebookClient(notebook, resources={"metadata": {"path": str(ROOT)}}).execute()
    assert time.monotonic() - started < 120
    frames = [
        output["data"]["text/html"]
        for output in notebook.cells[0]["outputs"]
        if "text/html" in output.get("data", {})
    ]
    assert any("<iframe" in frame and "127.0.0.1" in frame for frame in frames)
