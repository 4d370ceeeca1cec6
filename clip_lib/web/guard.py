"""Who may query the search page, and how much: checked before Gradio reads a request.

A page of any other site, another port of this machine included, can make a visitor's
browser send requests to 127.0.0.1. It is recognised by the address it asks for (Host,
if it points its own name at this machine) or by where it comes from (Origin and
Sec-Fetch-Site, which no script can forge). The answers' headers forbid the rest: to
embed them, to guess their kind, to ask any other address from within the page.
"""

import logging
import sys
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse

from clip_lib.web.uploads import size
from clip_lib.web.words import words_for

MAX_BODY = 21_000_000
"""Bytes of one request: an upload of 20 MB and what surrounds it."""
MAX_UPLOADS = 200_000_000
"""Bytes of all uploads that are kept at a time."""
HOSTS = ["127.0.0.1", "localhost"]
NOTEBOOKS = "http://localhost:* http://127.0.0.1:* vscode-webview: vscode-file:"
"""Where Jupyter and VS Code show a cell's output, the page in a frame below it."""

# Gradio's page needs inline scripts and compiles some: the policy cannot keep a script
# from running, but what ran could send nothing away.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; object-src 'none'; "
    "base-uri 'self'; form-action 'self'; frame-src 'none'; frame-ancestors "
)


_LOG = logging.getLogger("uvicorn.error")
_TOO_LARGE = PlainTextResponse(
    f"Expected a request of at most {MAX_BODY // 1_000_000} MB.", 413
)


class _TooLargeError(Exception):
    pass


class Guard:
    """Refuse requests of other sites and what is too much; add headers to answers."""

    def __init__(self, app, uploads: Path, in_notebook: bool = False):
        """Stand before an ASGI app whose uploads lie in a folder.

        In a notebook, pages of other ports of this machine may show ours in a frame. On
        Colab, the page is reached by a name of Google's, and by nobody else: the limits
        of size alone remain.
        """
        self.proxied = "google.colab" in sys.modules
        self.app = TrustedHostMiddleware(app, ["*"] if self.proxied else HOSTS)
        self.uploads, self.arriving = uploads, 0
        self.headers = {"X-Content-Type-Options": "nosniff"}
        if self.proxied:
            return
        self.headers |= {
            "Content-Security-Policy": _POLICY
            + (NOTEBOOKS if in_notebook else "'none'"),
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "same-origin",
        }
        if not in_notebook:
            self.headers["X-Frame-Options"] = "DENY"

    async def __call__(self, scope, receive, send):
        """Pass a request on, or answer it with a refusal (ASGI)."""
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)

        received, started = 0, False

        async def send_with_headers(message):
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message).update(self.headers)
            await send(message)

        async def receive_counted():
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > MAX_BODY:  # Of a body that did not tell its length.
                raise _TooLargeError
            return message

        headers = Headers(scope=scope)
        length = int(headers.get("content-length", 0))
        answer = self._refusal(headers, length, scope["path"]) or self.app
        if answer is not self.app and 0 < length <= MAX_BODY:
            # Browsers hear no answer before they have sent everything.
            while (await receive()).get("more_body"):
                pass
        self.arriving += length
        try:
            await answer(scope, receive_counted, send_with_headers)
        except _TooLargeError:
            if not started:  # The app may have answered that it failed.
                await _TOO_LARGE(scope, receive, send_with_headers)
        except Exception as error:
            # Gradio fails on a forged request only once it has begun to answer; a
            # program that sends many would fill the log.
            _LOG.warning("%r from a client: %r", error, scope["path"])
        finally:
            self.arriving -= length

    def _refusal(self, headers, length: int, path: str) -> PlainTextResponse | None:
        origin, host = headers.get("origin"), headers.get("host")
        foreign = headers.get("sec-fetch-site") in ("cross-site", "same-site")
        # To follow a link to the page, or to show it below a cell, is no query.
        foreign = foreign and headers.get("sec-fetch-mode") != "navigate"
        foreign = foreign or origin not in (None, f"http://{host}")
        if foreign and not self.proxied:
            return PlainTextResponse("Requests of other sites are refused.", 403)
        # A body without a length would have to be counted; no browser sends one, but
        # Colab's proxy may.
        chunked = "transfer-encoding" in headers and not self.proxied
        if chunked or length > MAX_BODY:
            return _TOO_LARGE
        used = size(self.uploads) if path.endswith("/upload") else 0
        if used + self.arriving + length > MAX_UPLOADS:
            words = words_for(headers.get("accept-language"))
            return PlainTextResponse(words["full"], 413)
        return None
