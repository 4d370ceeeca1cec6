"""A chat endpoint on this machine that answers as a good model would, or misbehaves.

``server.behave`` is called with the number of the request (from 0) and the captions
asked, and names one of the behaviours below.
"""

import http.server
import json
import re
import threading
import time

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
    "empty": lambda captions: "",
    "chats": lambda captions: (
        "Sure, here they are:\n\n"
        + numbered(map(lengthen, captions))
        + "\n\nLet me know if you want more!"
    ),
    "forgets": lambda captions: "\n".join(
        numbered(map(lengthen, captions)).splitlines()[1:]
    ),
}


class ChatServer(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.behave = lambda number, captions: "good"
        self.contents = dict(CONTENTS)
        self.requests, self.times, self.keys, self.said = [], [], [], []
        self.lock = threading.Lock()
        self.late, self.retry_after, self.usage = 1.5, "1", (100, 20)
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
            server.times.append(time.monotonic())
            server.keys.append(self.headers.get("Authorization"))
            server.said.append(messages)
        behaviour = server.behave(number, captions)
        if behaviour in server.contents:
            self.answer(behaviour, captions)
        else:
            getattr(self, behaviour)(captions)

    def send(self, body, status=200, kind="application/json", missing=0, **headers):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) + missing))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def answer(self, behaviour, captions):
        self.send(self.completion(self.server.contents[behaviour](captions)))

    def completion(self, content, finish="stop"):
        message = {"role": "assistant", "content": content}
        choice = {"index": 0, "finish_reason": finish, "message": message}
        about = {"id": "1", "object": "chat.completion", "created": 1, "model": "toy"}
        answer = about | {"choices": [choice]}
        if self.server.usage:
            sent, received = self.server.usage
            usage = {"prompt_tokens": sent, "completion_tokens": received}
            answer["usage"] = usage | {"total_tokens": sent + received}
        return json.dumps(answer).encode()

    def fault(self, status, message, **headers):
        body = {"error": {"message": message, "code": None}}
        self.send(json.dumps(body).encode(), status, **headers)

    def late(self, captions):
        time.sleep(self.server.late)
        self.answer("good", captions)

    def too_many(self, captions):
        self.fault(429, "slow down", Retry_After=self.server.retry_after)

    def breaks(self, captions):
        self.send(b"Internal Server Error", 500, "text/plain")

    def cut_json(self, captions):
        self.send(self.completion("1. A dog")[:90])

    def cut_body(self, captions):
        self.send(self.completion("1. A dog")[:90], missing=200)
        self.close_connection = True

    def hangs_up(self, captions):
        self.close_connection = True

    def page(self, captions):
        self.send(b"<html>Welcome</html>", kind="text/html")

    def no_choice(self, captions):
        self.send(b'{"error": {"message": "overloaded"}}')

    def stopped(self, captions):
        content = CONTENTS["good"](captions)
        self.send(self.completion(content[: len(content) - 30], "length"))

    def denies(self, captions):
        self.fault(401, f"Incorrect key: {self.headers.get('Authorization')}")

    def dislikes(self, captions):
        self.fault(400, "content policy")

    def log_message(self, *arguments):
        """Keep the tests' output clean."""
