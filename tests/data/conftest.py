"""Pictures, folders of pictures and a web server for the tests of the data room."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image

REPOSITORY = Path(__file__).parents[2]
DrawPicture = Callable[..., Path]
DrawFolder = Callable[..., Path]


@pytest.fixture(scope="session")
def photographs() -> Path:
    """The folder of the 3,000 real photographs of cats and dogs."""
    root = Path(os.environ.get("SEARCH_DATA") or REPOSITORY.parent / "shared" / "data")
    if not (root / "cats_dogs").is_dir():
        pytest.skip("the photographs are not here; set SEARCH_DATA")
    return root / "cats_dogs"


@pytest.fixture
def draw_picture() -> DrawPicture:
    """Write a small picture; another seed gives other bytes."""

    def draw(path: Path, seed: int, size: tuple[int, int] = (12, 9)) -> Path:
        pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        return path

    return draw


@pytest.fixture
def draw_folder(draw_picture: DrawPicture) -> DrawFolder:
    """Write folders of pictures: `draw_folder(root, {"cats": 30, "dogs": 30})`; no two pictures are equal."""

    def draw(root: Path, numbers: Mapping[str, int]) -> Path:
        for position, (name, n) in enumerate(numbers.items()):
            for index in range(n):
                draw_picture(root / name / f"{index}.png", seed=1000 * position + index)
        return root

    return draw


@dataclass(frozen=True)
class Answer:
    """What the server says; it may declare another length than it sends, and fall silent after it."""

    body: bytes = b""
    status: int = 200
    declared: int | Literal["nothing"] | None = None
    stall: bool = False


Serve = Callable[..., str]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Serve one answer on a port of its own: `serve(body, status=404)`, as `Answer`; returns the address."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    servers: list[ThreadingHTTPServer] = []
    over = threading.Event()

    def start(*values: object, **named: object) -> str:
        answer = Answer(*values, **named)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(answer.status)
                length = len(answer.body) if answer.declared is None else answer.declared
                if length != "nothing":
                    self.send_header("Content-Length", str(length))
                self.end_headers()
                with contextlib.suppress(ConnectionError):
                    self.wfile.write(answer.body)
                if answer.stall:
                    over.wait(10)

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/pictures.zip"

    yield start
    over.set()
    for server in servers:
        server.shutdown()
        server.server_close()
