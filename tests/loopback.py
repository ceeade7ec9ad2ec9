"""A web server on loopback for tests: files of a folder, with ranges, ETags and interruptions."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread


class Site:
    """What the server does and has done: sends at most `limit` bytes; ranges asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.url = folder, ""
        self.limit: int | None = None
        self.ranges: list[str | None] = []


class Handler(BaseHTTPRequestHandler):
    def __init__(self, site: Site, *given: object) -> None:
        self.site = site
        super().__init__(*given)  # type: ignore[arg-type]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def do_GET(self) -> None:
        path = self.site.folder / self.path.lstrip("/")
        if not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        asked = self.headers.get("Range")
        self.site.ranges.append(asked)
        start = 0
        if asked and self.headers.get("If-Range") == tag:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
        self.send_response(206 if start else 200)
        self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = None if self.site.limit is None else start + self.site.limit
        self.wfile.write(content[start:end])


@contextmanager
def serving(folder: Path) -> Iterator[Site]:
    folder.mkdir(parents=True, exist_ok=True)
    site = Site(folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, site)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        site.url = f"http://127.0.0.1:{server.server_port}"
        yield site
        server.shutdown()
