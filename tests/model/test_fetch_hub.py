"""The download of timm's checkpoints and KerasHub's presets, from a server on this machine."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from huggingface_hub import constants
from kagglesdk import kaggle_env

from search.errors import WeightsError
from search.model.backbones import HubBackbone
from search.model.fetch import fetch_weights
from search.model.weights import find_weights

TIMM, HUB = HubBackbone("timm/resnet18"), HubBackbone("hub/resnet_18_imagenet")
_TIMM_PLACE = "/timm/resnet18.a1_in1k/resolve/main"
_HUB_PLACE = "/keras/resnetv1/resnet_18_imagenet/3"
FILES = {
    f"{_TIMM_PLACE}/config.json": b'{"architecture": "resnet18"}',
    f"{_TIMM_PLACE}/model.safetensors": bytes(range(256)) * 99,
    f"{_HUB_PLACE}/config.json": b'{"registered_name": "keras_hub>ResNetBackbone"}',
    f"{_HUB_PLACE}/image_converter.json": b"{}",
    f"{_HUB_PLACE}/model.weights.h5": bytes(range(256)) * 101,
}


class Server(BaseHTTPRequestHandler):
    """Serves FILES as Hugging Face and Kaggle do; `lacks` is what it has not."""

    lacks = ""
    asked: ClassVar[list[str]]

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        parts = (asked[key] for key in ("ownerSlug", "modelSlug", "instanceSlug", "versionNumber", "path"))
        assert self.path == "/api/v1/models.ModelApiService/DownloadModelInstanceVersion"
        self.path = "/" + "/".join(str(part) for part in parts)
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        path = self.path.partition("?")[0]
        self.asked.append(path)
        found = FILES.get(path)
        if found is None or (self.lacks and path.endswith(self.lacks)):
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(found)))
        self.send_header("ETag", f'"{len(found)}"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.end_headers()
        if body:
            self.wfile.write(found)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[type[Server]]:
    """Both libraries look for their files here, and keep what they have to in a folder of the test's."""

    class Here(Server):
        asked: ClassVar[list[str]] = []

    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "kaggle"))
    with ThreadingHTTPServer(("127.0.0.1", 0), Here) as listening:
        address = f"http://127.0.0.1:{listening.server_port}"
        point_to(address, monkeypatch)
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield Here
        listening.shutdown()
        thread.join()


def point_to(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # a mirror that HF_ENDPOINT names is read when the library is imported, which may be long done
    monkeypatch.setattr(constants, "ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "LOCALHOST")
    monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.LOCAL, address)


@pytest.mark.parametrize("row", [TIMM, HUB], ids=lambda row: row.name)
def test_missing_files_are_downloaded_whole_into_the_cache_of_keras(
    row: HubBackbone, server: type[Server], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = fetch_weights(row, 64, "imagenet", None)
    assert folder == tmp_path / "keras" / "models" / row.folder
    expected = {
        path.rpartition("/")[2]: body
        for path, body in FILES.items()
        if path.startswith(_TIMM_PLACE if row.is_timm else _HUB_PLACE)
    }
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == expected
    assert capsys.readouterr().out == ""

    n_asked = len(server.asked)
    assert fetch_weights(row, 64, "imagenet", None) == find_weights(row, 64, "imagenet", None) == folder
    assert len(server.asked) == n_asked
    assert [path.name for path in (tmp_path / "keras" / "models").iterdir()] == [row.folder.partition("/")[0]]


@pytest.mark.parametrize(("row", "lacks"), [(TIMM, "safetensors"), (HUB, ".h5"), (HUB, "config.json")])
def test_a_download_that_fails_is_one_error_and_leaves_nothing(
    row: HubBackbone, lacks: str, server: type[Server], tmp_path: Path
) -> None:
    server.lacks = lacks
    with pytest.raises(WeightsError, match=rf"{row.name}: its weights .* cannot be downloaded .*404") as told:
        fetch_weights(row, 64, "imagenet", None, others=["vgg16"])
    assert "\n" not in str(told.value)
    assert f"put them into DIR/{row.folder}" in str(told.value)
    assert "free.backbone=[vgg16]" in str(told.value)
    assert not list((tmp_path / "keras" / "models").iterdir())


@pytest.mark.parametrize("row", [TIMM, HUB], ids=lambda row: row.name)
def test_no_connection_is_told_at_once(
    row: HubBackbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    point_to("http://127.0.0.1:9", monkeypatch)
    with pytest.raises(WeightsError, match=rf"{row.name}: .* cannot be downloaded .*refused"):
        fetch_weights(row, 64, "imagenet", None)
