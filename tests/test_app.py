"""The search page's server: what it serves, and what it refuses."""

import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from clip_lib.__main__ import main
from clip_lib.retrieval.search import IMAGE_INDEX_FILE
from clip_lib.scenes.folder import draw_scenes
from clip_lib.web.uploads import make_folder, size
from clip_lib.web.words import ENGLISH

ROOT = Path(__file__).parents[1]
JSON = {"Content-Type": "application/json"}


def request(address, path, data=None, headers=None):
    """Send a request as a program without our client would."""
    asked = urllib.request.Request(address + path, data, headers or {})
    try:
        with urllib.request.urlopen(asked) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def ask(address, name, *query):
    """Return what the server says to a query, without its options."""
    query = [*query, *(["", 5] if name == "search_text" else [5])]
    for part in query:
        if isinstance(part, dict):
            part["meta"] = {"_type": "gradio.FileData"}
    path, body = f"/gradio_api/call/{name}", json.dumps({"data": query}).encode()
    status, content = request(address, path, body, JSON)
    if status == 200:
        path += "/" + json.loads(content)["event_id"]
        _, content = request(address, path)
    return content.decode()


def upload(address, name, content):
    head = f'Content-Disposition: form-data; name="files"; filename="{name}"'
    body = b"------mark\r\n" + head.encode() + b"\r\n\r\n" + content
    body += b"\r\n------mark--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=----mark"}
    return request(address, "/gradio_api/upload", body, headers)


def test_it_serves_this_machine_alone(address):
    assert address.startswith("http://127.0.0.1:")
    other = socket.gethostbyname(socket.gethostname())
    if not other.startswith("127."):
        with pytest.raises(OSError):
            socket.create_connection((other, int(address.rpartition(":")[2])), 2)


def test_a_program_may_ask_it(address, page, photo):
    from gradio_client import Client, handle_file

    client = Client(address, verbose=False)
    found = client.predict("all", "a dog on the grass", api_name="/search_text")
    assert found == page.pictures_for("all", "a dog on the grass", ENGLISH)
    upload = handle_file(photo)
    found = client.predict("all", upload, "dog, bike", api_name="/search_picture")
    assert found == page.texts_for("all", photo, "dog, bike", ENGLISH)


def test_no_file_is_served_but_uploads(address, run_config, photo):
    model, index = run_config.clip_file, run_config.model_path(IMAGE_INDEX_FILE)
    for path in f"""
        /file=/etc/passwd /file=../../../../etc/passwd /file={ROOT}/README.md
        /file=README.md /file={model} /file={index} /file={photo}
        /file=file:///etc/passwd /file={address}/config /proxy={address}/config
        /file%3D%2Fetc%2Fpasswd /static/..%2f..%2f..%2f..%2f..%2f..%2fetc/passwd
        /runs /../monitoring/summary
    """.split():
        status, content = request(address, "/gradio_api" + path)
        assert 400 <= status < 500, path
        assert b"root:" not in content and b"version" not in content


def test_a_query_cannot_name_a_file_of_ours(address, photo):
    """A path in place of an upload."""
    for forged in (
        {"path": "/etc/passwd"},
        {"path": photo},
        {"path": photo, "url": "http://127.0.0.1:9/"},
        {"path": None, "url": f"{address}/config"},
        {"path": f"{address}/config"},
        {"path": None, "url": "data:image/png;base64,AAAA"},
        photo,
        {},
    ):
        assert "<li>" not in ask(address, "search_picture", "all", forged, ""), forged
    for gallery in ("/etc", "../..", None):
        assert "<li>" not in ask(address, "search_text", gallery, "a dog"), gallery


def test_uploads_stay_where_they_belong(address, photo, tmp_path):
    path = json.loads(upload(address, "dog.jpg", Path(photo).read_bytes())[1])[0]
    answer = ask(address, "search_picture", "all", {"path": path}, "")
    assert answer.count("<li>") == 10
    upload(address, f"../../../../{tmp_path}/escaped.jpg", b"content")
    assert not (tmp_path / "escaped.jpg").exists()
    # Served back as something to save: its scripts never run at our address.
    for name in ("evil.svg", "evil.html"):
        path = json.loads(upload(address, name, b"<svg><script>alert(1)")[1])[0]
        with urllib.request.urlopen(f"{address}/gradio_api/file={path}") as answer:
            assert answer.headers["Content-Disposition"].startswith("attachment")
            assert answer.headers["Content-Type"] == "application/octet-stream"


def test_pages_of_other_sites_cannot_ask(address):
    """Neither under a name that they point at this machine, nor from their own."""
    for header, value, status in (
        ("Host", "evil.example", 400),
        ("Host", "127.0.0.1.evil.example", 400),
        ("Host", "localhost", 200),
        ("Origin", "http://evil.example", 403),
        ("Origin", "null", 403),
        ("Origin", "http://127.0.0.1.evil.example", 403),
        # Another port of this machine is another site.
        ("Origin", "http://localhost:8888", 403),
        ("Origin", address, 200),
        ("Sec-Fetch-Site", "cross-site", 403),
        ("Sec-Fetch-Site", "same-site", 403),
        ("Sec-Fetch-Site", "same-origin", 200),
    ):
        assert request(address, "/config", headers={header: value})[0] == status, value
    # A link to the page is followed.
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert request(address, "/", headers=link)[0] == 200


def test_every_answer_forbids_what_other_sites_may_do(address):
    for path, origin in (("/", address), ("/config", "http://localhost:8888")):
        asked = urllib.request.Request(address + path, headers={"Origin": origin})
        try:
            headers = urllib.request.urlopen(asked).headers
        except urllib.error.HTTPError as refused:
            headers = refused.headers
            assert not [name for name in headers if name.startswith("access-control")]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["X-Frame-Options"] == "DENY"
        policy = headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy


def test_pictures_are_viewed_and_downloaded_by_their_name(address, page, photo):
    name = page.galleries["all"].shown.name(photo)
    path = f"/picture?gallery=all&name={name}"
    assert request(address, path) == (200, Path(photo).read_bytes())
    status, content = request(address, path + "&view=1")
    assert status == 200 and content.startswith(b"\xff\xd8")
    for name in ("/etc/passwd", "../../../../etc/passwd", photo, "%00", ""):
        for gallery in ("all", "nowhere"):
            path = f"/picture?gallery={gallery}&name={name}"
            assert request(address, path) == (404, ENGLISH["gone"].encode())


def test_what_is_too_large_is_refused(address):
    assert upload(address, "photo.jpg", b"0" * 1_000_000)[0] == 200
    status, content = upload(address, "photo.jpg", b"0" * 20_975_000)
    assert status == 413 and b"exceed" in content.lower()
    # A request of any other kind is not even read.
    place = ("127.0.0.1", int(address.rpartition(":")[2]))
    start = b"POST /gradio_api/queue/join HTTP/1.1\r\nHost: localhost\r\n"
    for length, expected in (
        (b"Content-Length: 21000001", b" 413 "),
        (b"Content-Length: many", b" 400 "),
        (b"Transfer-Encoding: chunked", b" 413 "),
    ):
        with socket.create_connection(place, 5) as link:
            link.sendall(start + length + b"\r\n\r\n")
            assert expected in link.recv(1000)


def test_uploads_have_a_limit_together(address, monkeypatch):
    limit = size(Path(os.environ["GRADIO_TEMP_DIR"])) + 1_500_000
    monkeypatch.setattr("clip_lib.web.guard.MAX_UPLOADS", limit)
    assert upload(address, "one.jpg", b"1" * 900_000)[0] == 200
    status, content = upload(address, "two.jpg", b"2" * 900_000)
    assert (status, content.decode()) == (413, ENGLISH["full"])


def test_uploads_of_a_killed_server_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    make = "from clip_lib.web.uploads import make_folder; made = make_folder()"
    program = f"import os, time; {make}; open(made[0].name + '/a.jpg', 'w').close(); "
    program += "print(flush=True); time.sleep(60)"
    killed = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    killed.stdout.readline()
    mine, lock = make_folder()
    assert len(list(tmp_path.glob("*/a.jpg"))) == 1  # It is at work still.
    killed.kill()
    killed.wait()
    make_folder()
    assert not list(tmp_path.glob("*/a.jpg")) and Path(mine.name).is_dir()
    lock.release()


def test_a_crowd_waits_in_line(address, page):
    """One query is answered at a time, and there is no way round the queue."""
    from clip_lib.web.app import build_app

    events = build_app(page).fns.values()
    queued = [one for one in events if one.concurrency_id == "clip"]
    assert len(queued) == 9 and all(one.concurrency_limit == 1 for one in queued)
    body = json.dumps({"data": ["test", "a dog"]}).encode()
    for path in ("run/search_text", "api/search_text"):
        assert request(address, f"/gradio_api/{path}", body, JSON)[0] == 404


def test_the_command_serves_pretrained_weights_on_folders(run_config, tmp_path):
    """Weights without pictures of their own; when it ends, no upload is left."""
    scenes = draw_scenes(tmp_path / "scenes", per_label=2)
    photos = shutil.copytree(scenes / "images", tmp_path / "photos")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = ["app", "--json", "--port", port]
    command += ["--gallery", str(photos), "--gallery", str(scenes)]
    places = dict.fromkeys(
        ("TMPDIR", "XDG_CACHE_HOME", "CLIP_MODEL_DIR"), str(tmp_path)
    )
    server = subprocess.Popen(
        [sys.executable, "-m", "clip_lib", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        text=True,
        env=os.environ | places,
    )
    try:
        line = server.stdout.readline()
        assert line, server.stderr.read()
        found = json.loads(line)
        assert found["address"] == f"http://127.0.0.1:{port}/"
        assert found["folders"] == [str(photos), str(scenes)]
        address = found["address"].rstrip("/")
        answer = ask(address, "search_text", "photos/", "A big dog in the woods")
        assert answer.count("data:image/jpeg") == 5 and "_001.jpg</p>" in answer
        answer = ask(address, "search_text", "scenes/", "A big dog in the woods")
        assert answer.count("data:image/jpeg") == 5 and "_001.jpg</p>" not in answer
        (path,) = json.loads(upload(address, "dog.jpg", b"content")[1])
        assert Path(path).is_relative_to(tmp_path)
        # Forged requests are refused, and leave no traceback in the log.
        for body in (b"{", b'{"data": [], "fn_index": 999, "session_hash": "x"}'):
            assert request(address, "/gradio_api/queue/join", body, JSON)[0] >= 400
        assert "Unexpected input" in ask(address, "search_text", "/etc", "a dog")
        forged = {"path": "/etc/passwd"}
        answer = ask(address, "search_picture", "scenes/", forged, "")
        assert "Unexpected input" in answer
        # The same port is not taken from it.
        small = str(run_config.clip_file)
        assert main(["app", "--model", small, "--port", port]) == 1
    finally:
        server.terminate()
        assert server.wait(20) == 130
    first, *log, last = server.stderr.read().splitlines()
    log = "".join(log)
    assert "KeyError(999)" in log and "Traceback" not in log
    assert first.startswith("nothing trained yet") and last == "interrupted"
    assert not list(tmp_path.glob("clip_uploads_*"))


def test_a_port_that_cannot_be(capsys):
    for port in ("0", "65536", "-1", "http"):
        with pytest.raises(SystemExit, match="2"):
            main(["app", f"--port={port}"])
        assert "expected 1 to 65535" in capsys.readouterr().err


def test_without_gradio_it_says_what_to_install(run_config, monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "clip_lib.web.app", raising=False)
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert main(["app", "--model", str(run_config.clip_file)]) == 1
    assert "pip install -r requirements-app.txt" in capsys.readouterr().err


def test_it_shows_below_a_cell(page, address, photo):
    """In Jupyter: the cell ends, the page stands below it, and an earlier one works."""
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    shell = InteractiveShell.instance()
    shell.push({"page": page})
    try:
        with capture_output() as shown:
            cell = "from clip_lib.web.app import launch; app, *_ = launch(page)"
            shell.run_cell(cell).raise_error()
        path = json.loads(upload(address, "dog.jpg", Path(photo).read_bytes())[1])[0]
        assert "<li>" in ask(address, "search_picture", "all", {"path": path}, "")
        # There, and only there, a page of another port may hold it in a frame.
        with urllib.request.urlopen(shell.user_ns["app"].blocks.local_url) as answer:
            assert answer.headers["X-Frame-Options"] is None
            policy = answer.headers["Content-Security-Policy"]
        assert "frame-ancestors http://localhost:*" in policy
    finally:
        shell.user_ns["app"].blocks.close()
        InteractiveShell.clear_instance()
    frames = [output.data.get("text/html", "") for output in shown.outputs]
    assert any("<iframe" in one and "127.0.0.1" in one for one in frames)


def test_on_colab_the_limits_of_size_remain(monkeypatch, tmp_path):
    """There the page is reached by a name of Google's, within a frame of its own."""
    monkeypatch.setitem(sys.modules, "google.colab", object())
    responses = pytest.importorskip("starlette.responses")
    from starlette.applications import Starlette
    from starlette.routing import Route
    from starlette.testclient import TestClient

    from clip_lib.web.guard import Guard

    async def app(scope, receive, send):
        while (await receive()).get("more_body"):
            pass
        await responses.PlainTextResponse("served")(scope, receive, send)

    client = TestClient(
        Guard(app, tmp_path), base_url="https://x.googleusercontent.com"
    )
    asked = {"origin": "https://colab.research.google.com"}
    answer = client.post("/", content=b"1", headers=asked)
    assert answer.text == "served" and "X-Frame-Options" not in answer.headers
    # Google's proxy may send a body in chunks.
    assert client.post("/", content=iter([b"1"]), headers=asked).text == "served"
    monkeypatch.setattr("clip_lib.web.guard.MAX_BODY", 3)
    for body in (b"1234", iter([b"12", b"34"])):
        assert client.post("/", content=body, headers=asked).status_code == 413

    async def upload(request):
        await request.body()

    # An app that answers that it failed has answered.
    app = Starlette(routes=[Route("/", upload, methods=["POST"])])
    client = TestClient(Guard(app, tmp_path))
    assert client.post("/", content=iter([b"12", b"34"])).status_code == 500
