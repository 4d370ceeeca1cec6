"""A chat endpoint on this machine that answers as a good model would, or misbehaves.

``server.behave`` is called with the number of the request (from 0) and its captions,
and names one of the behaviours below.
"""

import http.server
import json
import re
import threading

ENDING = " while soft light falls on the quiet scene in the late afternoon ."


def lengthen(caption):
    return caption.rstrip(" .") + ENDING


def numbered(answers):
    return "\n".join(f"{number}. {text}" for number, text in enumerate(answers, 1))


CONTENTS = {
    "good": lambda captions: numbered(map(lengthen, captions)),
    "refuses": lambda captions: "I'm sorry, but I can't help with that request.",
    "hallucinates": lambda captions: numbered(
        lengthen(caption).replace("scene", "football dogs bike waterfall")
        for caption in captions
    ),
    "garbage": lambda captions: "\x00\ufffd qxz }{ <|im_end|> \n 17 zzz \ud800" * 3,
    "forgets": lambda captions: numbered(map(lengthen, captions[:-1])),
}
FAULTS = {
    # Status and body; each asks for a retry after a twentieth of a second.
    "too_many": (429, b'{"error": {"message": "slow down"}}'),
    "breaks": (500, b"Internal Server Error"),
    "denies": (401, b'{"error": {"message": "Incorrect key: Bearer KEY"}}'),
    "dislikes": (400, b'{"error": {"message": "content policy"}}'),
    "page": (200, b"<html>Welcome</html>"),
    "no_choice": (200, b'{"error": {"message": "overloaded"}}'),
    "cut_json": (200, b'{"choices": [{"index": 0, "finish_reason": "st'),
}


class ChatServer(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.behave = lambda number, captions: "good"
        self.requests, self.keys, self.said = [], [], []
        self.usage = {"prompt_tokens": 100, "completion_tokens": 20}
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self.serve_forever, args=(0.02,))

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"

    @property
    def asked(self):
        """Every caption asked, in the order of the requests."""
        return [caption for captions in self.requests for caption in captions]

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.shutdown()
        self.thread.join()
        self.server_close()

    def handle_error(self, request, client_address):
        """A client that hangs up is no news."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        server = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.path == "/v1/chat/completions"
        messages = json.loads(body)["messages"]
        lines = messages[-1]["content"].splitlines()
        captions = [re.sub(r"^\d+\. | \[refused: .*\]$", "", line) for line in lines]
        with server.lock:
            number = len(server.requests)
            server.requests.append(captions)
            server.keys.append(self.headers.get("Authorization"))
            server.said.append(messages)
        name = server.behave(number, captions)
        if name == "hangs_up":
            self.close_connection = True
        elif name == "stopped":
            self.complete(CONTENTS["good"](captions)[:-30], "length")
        elif name in FAULTS:
            status, content = FAULTS[name]
            self.send(content.replace(b"KEY", server.keys[-1][7:].encode()), status)
        else:
            self.complete(CONTENTS[name](captions))

    def send(self, content, status=200):
        self.send_response(status)
        kind = "text/html" if content.startswith(b"<") else "application/json"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Retry-After", "0.05")
        self.end_headers()
        self.wfile.write(content)

    def complete(self, content, finish="stop"):
        message = {"role": "assistant", "content": content}
        choice = {"index": 0, "finish_reason": finish, "message": message}
        answer = {"id": "1", "choices": [choice], "usage": self.server.usage}
        self.send(json.dumps(answer).encode())

    def log_message(self, *arguments):
        """Keep the tests' output clean."""
