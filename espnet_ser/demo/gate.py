"""Which requests get as far as Gradio: those of the page itself.

Other sites that are open in the same browser reach a server on this machine by a name of theirs that resolves to it (DNS
rebinding), or send to it from their own pages (cross-site requests): Host and Origin tell. And Gradio's application serves more
than the page: it fetches from addresses, converts videos, counts visits. None of that is let through.
"""

import ipaddress
import re
import socket
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from espnet_ser.demo.recordings import num_bytes

_READ = re.compile(
    r"/|/(config|theme\.css|manifest\.json|favicon\.ico|robots\.txt)|/pwa_icon(/\d+)?|/(static|assets|svelte)/.*"
    r"|/gradio_api/(theme\.css|info|app_id|startup-events|upload_progress|queue/data|heartbeat/\w+|file=/.*)"
)
_UPLOAD = "/gradio_api/upload"
_SENT = re.compile(rf"{_UPLOAD}|/gradio_api/(queue/join|cancel|reset)")
_MAX_MESSAGE_BYTES = 1 << 16  # of what is no recording, or surrounds one
_MAX_UPLOADS = 8  # at a time
_MAX_KEPT_BYTES = 2 << 30  # of recordings
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_ANY_ADDRESS = ("0.0.0.0", "::")


class Gate:
    """Middleware (ASGI) in front of Gradio's application.

    Args:
        app: The application.
        host: The address that it is served on.
        names: Further names that it is reached by, as that of a proxy in front of it.
        recordings: The folder of what visitors send.
        max_bytes: Of a recording.
    """

    def __init__(self, app: ASGIApp, host: str, names: Sequence[str], recordings: Path, max_bytes: int):
        self._app = app
        self._names = {name.lower() for name in names}
        self._hosts = {*_LOOPBACK, host.lower(), *self._names}
        if host not in _LOOPBACK:
            self._hosts |= {socket.gethostname().lower(), socket.getfqdn().lower()}
        self._takes_addresses = host in _ANY_ADDRESS
        self._recordings = recordings
        self._max_bytes = max_bytes
        self._uploads = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or answers it itself."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":  # the page opens no WebSocket
            is_upload = scope["path"] == _UPLOAD
            if refusal := self._refusal(scope, is_upload):
                status, reason = refusal
                await PlainTextResponse(f"{reason}\n", status)(scope, receive, send)
                return
            self._uploads += is_upload
            try:
                await self._app(scope, receive, send)
            finally:
                self._uploads -= is_upload

    def _refusal(self, scope: Scope, is_upload: bool) -> tuple[HTTPStatus, str] | None:
        headers = Headers(scope=scope)
        host, origin, length = (headers.get(name) for name in ("host", "origin", "content-length"))
        if not self._is_of_this_page(host or ""):
            return HTTPStatus.FORBIDDEN, "this page has no such name; whoever serves it can give it one by --allow_host"
        if origin is not None and urlsplit(origin).netloc != host and _host_name(urlsplit(origin).netloc) not in self._names:
            return HTTPStatus.FORBIDDEN, "this page takes no requests of other sites"
        reads = scope["method"] in ("GET", "HEAD")
        if not (_READ if reads else _SENT).fullmatch(scope["path"]):
            return HTTPStatus.NOT_FOUND, "no part of this page"
        most = _MAX_MESSAGE_BYTES + (self._max_bytes if is_upload else 0)
        if not reads and length is None:
            return HTTPStatus.LENGTH_REQUIRED, "say how long it is"
        if int(length or 0) > most:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {most} bytes"
        if is_upload and (self._uploads >= _MAX_UPLOADS or num_bytes(self._recordings) > _MAX_KEPT_BYTES):
            return HTTPStatus.SERVICE_UNAVAILABLE, "too many recordings were sent; try again in some minutes"
        return None

    def _is_of_this_page(self, host: str) -> bool:
        name = _host_name(host)
        if name in self._hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return self._takes_addresses  # no other site is reached by an address of this machine


def _host_name(host: str) -> str:
    """A host's name, without its port; of nonsense, nothing."""
    try:
        return (urlsplit(f"//{host}").hostname or "").removesuffix(".")
    except ValueError:
        return ""
