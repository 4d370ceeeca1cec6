"""Who may ask the search page, and how much: checked before Gradio reads a request.

A page of any other site can make a visitor's browser send requests to 127.0.0.1. It is
recognised by the address that it asks (Host, if it points its own name at this machine)
or by where it comes from (Origin).
"""

import sys
from urllib.parse import urlsplit

from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse

MAX_BODY = 21_000_000
"""Bytes of one request: an upload of 20 MB and what is around it."""
HOSTS = ["127.0.0.1", "localhost"]


class Guard:
    """Refuse requests of other sites, and bodies that are too long."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        """Pass a request on, or answer it with a refusal (ASGI)."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers = dict(scope["headers"])
        origin = headers.get(b"origin", b"").decode("latin-1")
        if origin and not _is_ours(origin):
            refusal = PlainTextResponse("Requests of other sites are refused.", 403)
            return await refusal(scope, receive, send)
        length = headers.get(b"content-length", b"0")
        # A body without a length would have to be counted; no browser sends one.
        chunked = b"transfer-encoding" in headers
        if chunked or not length.isdigit() or int(length) > MAX_BODY:
            text = f"Expected a request of at most {MAX_BODY // 1_000_000} MB."
            return await PlainTextResponse(text, 413)(scope, receive, send)
        return await self.app(scope, receive, send)


def guards() -> list[Middleware]:
    """Return what stands between the network and the page.

    On Colab the page is asked through a name of Google's, and no one else can reach it.
    """
    if "google.colab" in sys.modules:
        return []
    return [Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS), Middleware(Guard)]


def _is_ours(origin: str) -> bool:
    try:
        return urlsplit(origin).hostname in HOSTS
    except ValueError:
        return False
