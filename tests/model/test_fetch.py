import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from search.errors import WeightsError
from search.model import fetch
from search.model.backbones import Backbone, backbone
from search.model.fetch import fetch_weights

BODY = bytes(range(256)) * 400


class Server(BaseHTTPRequestHandler):
    """Serves BODY at /whole, half of it at /broken, and nothing elsewhere."""

    def do_HEAD(self) -> None:
        self.send_response(404 if self.path.startswith("/gone") else 200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(BODY[: len(BODY) // 2] if self.path.startswith("/broken") else BODY)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "keras" / "models"


def served(address: str, file_hash: str | None = None) -> Backbone:
    row = backbone("vgg16")
    name = row.files[0].name
    return replace(row, files=(replace(row.files[0], address=f"{address}/{name}", file_hash=file_hash),))


def test_missing_weights_are_downloaded_into_the_cache_of_keras(
    address: str, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = served(f"{address}/whole", hashlib.md5(BODY).hexdigest())
    path = fetch_weights(row, 96, "imagenet", None)
    assert path == cache / row.files[0].name
    assert path.read_bytes() == BODY
    assert list(cache.iterdir()) == [path]
    assert capsys.readouterr().out == ""


def test_weights_at_hand_are_not_downloaded(cache: Path, tmp_path: Path) -> None:
    row = served("http://127.0.0.1:9")
    (tmp_path / row.files[0].name).write_bytes(b"mine")
    assert fetch_weights(row, 96, "imagenet", tmp_path) == tmp_path / row.files[0].name
    assert fetch_weights(row, 96, "none", None) is None


@pytest.mark.parametrize(
    ("place", "file_hash"),
    [("whole", "0" * 32), ("broken", None), ("gone", None)],
    ids=["other", "broken", "gone"],
)
def test_a_failed_download_is_one_error_and_leaves_nothing(
    place: str, file_hash: str | None, address: str, cache: Path
) -> None:
    with pytest.raises(WeightsError, match=r"vgg16: its weights .* cannot be downloaded") as caught:
        fetch_weights(served(f"{address}/{place}", file_hash), 96, "imagenet", None)
    assert "\n" not in str(caught.value)
    assert not cache.exists() or not list(cache.iterdir())


def test_no_connection_says_where_it_looked_and_what_leaves_the_backbone_out(
    cache: Path, tmp_path: Path
) -> None:
    started = time.monotonic()
    with pytest.raises(WeightsError) as caught:
        fetch_weights(served("http://127.0.0.1:9"), 96, "imagenet", tmp_path, others=["resnet50", "xception"])
    assert time.monotonic() - started < 3
    assert str(tmp_path) in str(caught.value)
    assert str(cache) in str(caught.value)
    assert "leave vgg16 out with --set free.backbone=[resnet50,xception]" in str(caught.value)


def test_a_server_that_never_answers_is_given_up(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "CONNECT_TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        with pytest.raises(WeightsError, match="timed out"):
            fetch_weights(served(f"http://127.0.0.1:{silent.getsockname()[1]}"), 96, "imagenet", None)
    assert time.monotonic() - started < 3
