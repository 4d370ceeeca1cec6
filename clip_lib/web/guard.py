"""Who may query the search page, and how much: checked before Gradio reads a request.

A page of any other site can make a visitor's browser send requests to 127.0.0.1. It is
recognised by the address it asks for (Host, if it points its own name at this machine)
or by where it comes from (Origin).
"""

import re
import sys

from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse

MAX_BODY = 21_000_000
"""Bytes of one request: an upload of 20 MB and what surrounds it."""
HOSTS = ["127.0.0.1", "localhost"]
ORIGIN = re.compile(r"https?://(127\.0\.0\.1|localhost)(:\d+)?")


class Guard:
    """Refuse requests of other sites, and bodies that are too long."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        """Pass a request on, or answer it with a refusal (ASGI)."""
        headers, answer = dict(scope.get("headers", ())), self.app
        origin = headers.get(b"origin", b"").decode("latin-1")
        length = headers.get(b"content-length", b"0")
        if origin and not ORIGIN.fullmatch(origin):
            answer = PlainTextResponse("Requests of other sites are refused.", 403)
        # A body without a length would have to be counted; no browser sends one.
        elif b"transfer-encoding" in headers or int(length) > MAX_BODY:
            text = f"Expected a request of at most {MAX_BODY // 1_000_000} MB."
            answer = PlainTextResponse(text, 413)
        await answer(scope, receive, send)


def guards() -> list[Middleware]:
    """Return what stands between the network and the page.

    On Colab, the page is reached by a name of Google's, and by nobody else.
    """
    if "google.colab" in sys.modules:
        return []
    return [Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS), Middleware(Guard)]
