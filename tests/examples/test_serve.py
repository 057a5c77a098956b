import asyncio
import base64
import functools
import importlib
import json
import pathlib
import signal
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import saved_flows
import tensorflow as tf
from constructors import perturb
from example import EXAMPLES
from http_server import Server

import tfp_realnvp as nvp

pytest.importorskip("fastapi", reason='needs pip install ".[serve]"')
pytest.importorskip("uvicorn", reason='needs pip install ".[serve]"')

# The servers are started once.
pytestmark = pytest.mark.xdist_group("serve")

SERVE = EXAMPLES / "serve"
LIMITS = {
    "lanes": 1,
    "max-batch": 4,
    "max-queued": 8,
    "max-images": 6,
    "max-draws": 20_000,
    "max-body": 20_000,
    "body-seconds": 2,
}
IMAGES = np.random.default_rng(0).integers(0, 256, [6, 4, 4, 1], np.uint8)
VECTORS = np.random.default_rng(1).normal(size=[6, 2])
LABELS = [0, 1, 2, 2, 1, 0]


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Function that starts a server; all are ended at last."""
    servers = []

    def start(artifact, **options):
        log = tmp_path_factory.mktemp("logs") / "log.txt"
        servers.append(Server(artifact, log, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.process.kill()
        server.process.wait()


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory):
    """Folders of the versions of a flow over images and of one over vectors."""
    folder = tmp_path_factory.mktemp("artifacts")
    for name in ("image", "conditional"):
        flow = saved_flows.FLOWS[name](seed=0)
        perturb(flow)
        nvp.export_saved_model(flow, folder / name / "1")
    return folder


@pytest.fixture(scope="module")
def images(start, artifacts):
    server = start(artifacts / "image", **LIMITS)
    server.seen = server.ready()
    return server


@pytest.fixture(scope="module")
def vectors(start, artifacts):
    server = start(artifacts / "conditional" / "1")
    server.ready()
    return server


@pytest.fixture
def serve(monkeypatch):
    """Function that imports a module of the example."""
    monkeypatch.syspath_prepend(SERVE)
    yield importlib.import_module
    for name in ("artifact", "batching", "bodies", "load_test", "server"):
        sys.modules.pop(name, None)


def b64(images):
    return {"b64": base64.b64encode(images.tobytes()).decode()}


load = functools.cache(tf.saved_model.load)


def signature(folder, name, **inputs):
    function = load(str(folder)).signatures[name]
    outputs = function(**{k: tf.constant(v) for k, v in inputs.items()})
    return {k: v.numpy() for k, v in outputs.items()}


def test_health_tells_a_server_that_loads_from_one_that_is_ready(images):
    health = [health for health, _ in images.seen]
    assert health[0] == (503, {"live": True, "ready": False})
    assert health[-1] == (200, {"live": True, "ready": True})
    assert {status for _, status in images.seen[:-1]} == {503}
    assert images.call("GET", "/health/live")[:2] == (200, {"live": True})


def test_metadata_are_those_of_the_artifact(images, artifacts):
    path = artifacts / "image" / "1" / "assets.extra" / "metadata.json"
    answer = images.call("GET", "/metadata")
    assert answer[:2] == (200, json.loads(path.read_text()))


@pytest.mark.parametrize("form", [lambda x: x.tolist(), b64])
def test_scores_are_those_of_the_saved_model(images, artifacts, form):
    status, found, _ = images.post(
        "/score", images=form(IMAGES), num_draws=3, seed=[4, -5]
    )
    expected = signature(
        artifacts / "image" / "1", "score_images", x=IMAGES, num_draws=3, seed=[4, -5]
    )
    assert status == 200 and sorted(found) == ["bits_per_dim", "log_prob"]
    for name in found:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5)


def test_requests_at_the_same_time_are_answered_like_single_ones(images):
    def score(i):
        draws = 1 + i % 2
        status, found, _ = images.post(
            "/score", images=b64(IMAGES[i % 6]), num_draws=draws
        )
        assert status == 200
        return found["log_prob"]

    alone = [score(i) for i in range(6)]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(score, range(60)))
    np.testing.assert_allclose(together, 10 * alone, rtol=1e-5)
    assert np.ptp(alone) > 1


BAD = {
    "images[0][3]: ": {"images": [[[[0]] * 4] * 3 + [[[0]] * 3]]},
    "images[0][0][0][0]: Input should be less than": {"images": [[[[256]] * 4] * 4]},
    "images[0][0][0][0]: Input should be greater": {"images": [[[[-1]] * 4] * 4]},
    "images[0][0][0][0]: ": {"images": [[[[0.5]] * 4] * 4]},
    "images[0]: ": {"images": [3]},
    "images: ": {"images": "AAAA"},
    "images: Field required": {},
    "images: List should have at least 1": {"images": []},
    "images: List should have at most 6": {
        "images": np.zeros([7, 4, 4, 1], int).tolist()
    },
    "images.b64: expected base64": {"images": {"b64": "A?=="}},
    "images.b64: expected 1 to 6 images": {"images": b64(IMAGES[0, 1:])},
    "images.b64: expected 1 to 6 images of": {"images": {"b64": ""}},
    "num_draws: ": {"images": b64(IMAGES), "num_draws": 0},
    "num_draws: Input": {"images": b64(IMAGES), "num_draws": 20_001},
    "num_draws: Input should be a": {"images": b64(IMAGES), "num_draws": True},
    "seed[1]: ": {"images": b64(IMAGES), "seed": [0, 2**31]},
    "seed: ": {"images": b64(IMAGES), "seed": 1},
    "condition: ": {"images": b64(IMAGES), "condition": [0]},
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_refused_with_the_name_of_the_field(images, message):
    status, found, _ = images.post("/score", **BAD[message])
    assert status == 422
    assert found["detail"].startswith(message)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\x00",
        b"[" * 10_000,
        b'{"images": ' + 8_000 * b"[",
        b'{"images": NaN}',
        b'{"images": [[[[Infinity]]]]}',
        b'{"images": ' + 9_000 * b"9" + b"}",
        b'{"images": "\\ud800"}',
        b'{"\\ud800": 1}',
    ],
)
def test_what_is_no_json_is_refused(images, body):
    status, found, _ = images.call("POST", "/score", body)
    assert status == 400
    assert found["detail"].startswith("body: expected JSON")


@pytest.mark.parametrize("body", [b"[]", b"3", b'"images"', b"null"])
def test_a_body_that_is_no_object_is_refused(images, body):
    status, found, _ = images.call("POST", "/score", body)
    assert (status, found["detail"][:6]) == (422, "body: ")


def test_numbers_too_great_for_a_float_are_no_seed_and_no_pixel(images):
    for number in ("1e999", "1e400", 400 * "9"):
        body = f'{{"images": [[[[{number}]]]]}}'
        assert images.call("POST", "/score", body)[0] == 422
        body = f'{{"temperature": {number}}}'
        assert images.call("POST", "/sample", body)[0] == 422


def test_a_body_too_long_is_refused_whatever_its_header_says(images):
    long = b'{"images": "' + 30_000 * b"A" + b'"}'
    whole = images.call("POST", "/score", long)
    pieces = (long[i : i + 1000] for i in range(0, len(long), 1000))
    chunked = images.call("POST", "/score", pieces, encode_chunked=True)
    for status, found, _ in (whole, chunked):
        assert status == 413
        assert found == {"detail": "body: expected at most 20000 bytes."}


def test_a_body_that_does_not_come_is_not_waited_for(images):
    with socket.create_connection(("127.0.0.1", images.port), timeout=30) as slow:
        slow.sendall(b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
        answer = b"".join(iter(lambda: slow.recv(1000), b""))
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"body: expected within 2 s." in answer


def test_a_client_that_goes_away_leaves_the_server_in_order(images):
    for body in (b"{", b'{"images": {"b64": "AAAAAAAAAAAAAAAAAAAAAA=="}}'):
        with socket.create_connection(("127.0.0.1", images.port)) as gone:
            head = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 47\r\n\r\n"
            gone.sendall(head + body)
    assert images.post("/score", images=b64(IMAGES))[0] == 200
    assert "Traceback" not in images.log.read_text()


def test_a_full_queue_asks_to_come_later(images):
    def slow(seed):
        fields = {"images": b64(IMAGES[:4]), "num_draws": 1000, "seed": [0, seed]}
        return images.post("/score", **fields)

    with ThreadPoolExecutor(5) as pool:
        # One of them is computed and two wait, which is all that may.
        answers = list(pool.map(slow, range(5)))
    statuses = [status for status, *_ in answers]
    assert set(statuses) == {200, 503} and statuses.count(200) >= 3
    _, found, headers = answers[statuses.index(503)]
    assert "places are taken" in found["detail"]
    assert headers["Retry-After"] == "1"


def test_the_same_seed_gives_the_same_samples(images, artifacts):
    status, found, _ = images.post(
        "/sample", num_samples=5, seed=[1, 2], temperature=0.5
    )
    expected = signature(
        artifacts / "image" / "1",
        "sample",
        num_samples=5,
        seed=[1, 2],
        temperature=0.5,
    )
    assert (status, found["seed"]) == (200, [1, 2])
    np.testing.assert_allclose(found["log_prob"], expected["log_prob"], rtol=1e-5)
    assert found["images"]["shape"] == [5, 4, 4, 1]
    raw = np.frombuffer(base64.b64decode(found["images"]["b64"]), np.uint8)
    # A sample may be rounded across a whole number.
    difference = raw.astype(int) - expected["images"].reshape(-1)
    assert np.abs(difference).max() <= 1


def test_samples_without_a_seed_differ_and_can_be_had_again(images):
    first, second = (images.post("/sample", num_samples=2)[1] for _ in range(2))
    assert first["log_prob"] != second["log_prob"]
    again = images.post("/sample", num_samples=2, seed=first["seed"])[1]
    assert again == first


@pytest.mark.parametrize(
    "fields",
    [{"num_samples": 0}, {"num_samples": 7}, {"temperature": -1}, {"seed": [1]}],
)
def test_bad_options_of_a_sample_are_refused(images, fields):
    (name,) = fields
    status, found, _ = images.post("/sample", **fields)
    assert status == 422
    assert found["detail"].startswith(name)


@pytest.mark.parametrize("condition", [LABELS, np.eye(3)[LABELS].tolist()])
def test_vectors_are_scored_under_labels_and_vectors(vectors, artifacts, condition):
    status, found, _ = vectors.post("/score", x=VECTORS.tolist(), condition=condition)
    expected = signature(
        artifacts / "conditional" / "1",
        "serving_default",
        x=np.float32(VECTORS),
        condition=np.float32(np.eye(3)[LABELS]),
    )
    assert (status, list(found)) == (200, ["log_prob"])
    np.testing.assert_allclose(found["log_prob"], expected["log_prob"], rtol=1e-5)


def test_vectors_are_sampled_under_a_condition(vectors):
    fields = {"num_samples": 6, "seed": [0, 1], "condition": LABELS}
    status, found, _ = vectors.post("/sample", **fields)
    assert (status, sorted(found)) == (200, ["log_prob", "samples", "seed"])
    rescored = vectors.post("/score", x=found["samples"], condition=LABELS)[1]
    np.testing.assert_allclose(rescored["log_prob"], found["log_prob"], rtol=1e-4)


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        ("condition: Field required", {}),
        ("condition: expected 6, one for each", {"condition": [0]}),
        ("condition[5]: ", {"condition": [0, 0, 0, 0, 0, 3]}),
        ("condition[0]: ", {"condition": [[0, 1]] * 6}),
        ("condition: expected numbers of float32", {"condition": [[0, 0, 1e39]] * 6}),
        ("x: expected numbers of float32", {"x": [[0, 1e39]] * 6, "condition": LABELS}),
        ("x[0]: ", {"x": [[0, 1, 2]] * 6, "condition": LABELS}),
        ("x[0][1]: ", {"x": [[0, None]] * 6, "condition": LABELS}),
    ],
)
def test_bad_vectors_and_conditions_are_refused(vectors, message, fields):
    status, found, _ = vectors.post("/score", **{"x": VECTORS.tolist(), **fields})
    assert status == 422
    assert found["detail"].startswith(message)


def test_what_has_no_finite_density_is_refused_and_hurts_no_other(vectors):
    def score(x):
        return vectors.post("/score", x=[x], condition=[0])

    good, far = VECTORS[0].tolist(), [1e30, -1e30]
    (alone,) = score(good)[1]["log_prob"]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(score, [good, far] * 16))
    for status, found, _ in answers[::2]:
        assert status == 200
        assert found["log_prob"] == pytest.approx([alone], rel=1e-5)
    for status, found, _ in answers[1::2]:
        assert status == 422
        assert "log_prob" in found["detail"]


def test_sigterm_loses_no_request_that_was_sent(start, artifacts):
    server = start(artifacts / "image", **{**LIMITS, "max-queued": 100})
    server.ready()

    def slow(seed):
        fields = {"images": b64(IMAGES[:2]), "num_draws": 300, "seed": [0, seed % 4]}
        return server.post("/score", **fields)

    with ThreadPoolExecutor(12) as pool:
        answers = [pool.submit(slow, seed) for seed in range(12)]
        time.sleep(0.5)
        unfinished = [answer for answer in answers if not answer.done()]
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=120) == 0
    assert unfinished
    assert [answer.result()[0] for answer in answers] == 12 * [200]
    with pytest.raises(ConnectionRefusedError):
        server.call("GET", "/health")


def test_a_server_that_loads_can_be_stopped(start, artifacts):
    server = start(artifacts / "image", **LIMITS)
    while "running on" not in server.log.read_text():
        assert server.process.poll() is None
        time.sleep(0.05)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(timeout=120) == 0
    assert "Traceback" not in server.log.read_text()


def test_an_artifact_that_does_not_load_ends_the_server(start, artifacts, tmp_path):
    (tmp_path / "assets.extra").mkdir()
    metadata = pathlib.Path("assets.extra") / "metadata.json"
    text = (artifacts / "image" / "1" / metadata).read_bytes()
    (tmp_path / metadata).write_bytes(text)
    (tmp_path / "saved_model.pb").write_bytes(b"no model")
    server = start(tmp_path)
    assert server.process.wait(timeout=120) == 1
    assert "could not be loaded" in server.log.read_text()


def test_the_highest_version_is_served(serve, tmp_path):
    find_artifact = serve("artifact").find_artifact
    for name in ("2", "10", "9", "latest"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").touch()
    (tmp_path / "11").mkdir()
    assert find_artifact(tmp_path) == tmp_path / "10"
    assert find_artifact(tmp_path / "9") == tmp_path / "9"
    for nothing in (tmp_path / "11", tmp_path / "none", __file__):
        with pytest.raises(FileNotFoundError, match="expected a folder with saved_mod"):
            find_artifact(nothing)


class Calls:
    """A model whose calls wait until they are released."""

    def __init__(self):
        self.sizes, self.released = [], threading.Event()

    def double(self, x):
        self.sizes.append(len(x))
        self.released.wait(timeout=60)
        if (x < 0).any():
            raise ValueError("negative")
        return {"y": 2 * x}


def batch(serve, arrays, keys=None, **options):
    """Returns the outputs, sizes of calls and what the queue refused."""
    options = {"max_batch": 4, "max_wait": 0.2, "max_queued": 100, **options}
    calls = Calls()

    async def run():
        batcher = serve("batching").Batcher(lanes=1, **options)
        batcher.start()
        rows = [{"x": np.array(x)} for x in arrays]
        submitted = [
            asyncio.ensure_future(batcher.submit(key, calls.double, row))
            for key, row in zip(keys or [0] * len(rows), rows, strict=True)
        ]
        asyncio.get_running_loop().call_later(0.1, calls.released.set)
        outputs = await asyncio.gather(*submitted, return_exceptions=True)
        await batcher.close()
        return outputs

    outputs = [getattr(o, "get", lambda _, o=o: o)("y") for o in asyncio.run(run())]
    return outputs, calls.sizes


def test_requests_share_calls_up_to_the_largest_batch(serve):
    outputs, sizes = batch(serve, [[1], [2, 3], [4], [5, 6], [7]])
    assert [y.tolist() for y in outputs] == [[2], [4, 6], [8], [10, 12], [14]]
    assert sizes == [4, 3]


def test_a_request_larger_than_a_batch_is_divided(serve):
    outputs, sizes = batch(serve, [list(range(10))])
    assert outputs[0].tolist() == list(range(0, 20, 2))
    assert sizes == [4, 4, 2]


def test_requests_with_other_options_share_no_call(serve):
    outputs, sizes = batch(serve, [[1], [2], [3], [4]], keys="abab")
    assert [y.tolist() for y in outputs] == [[2], [4], [6], [8]]
    assert sizes == [2, 2]


def test_a_request_that_fails_fails_alone(serve):
    outputs, sizes = batch(serve, [[1], [-2], [3], [4]])
    assert isinstance(outputs.pop(1), ValueError)
    assert [y.tolist() for y in outputs] == [[2], [6], [8]]
    assert sizes == [4, 1, 1, 1, 1]


def test_a_queue_takes_a_request_wholly_or_not(serve):
    outputs, sizes = batch(serve, [[1], [1, 2, 3, 4, 5], [2]], max_queued=5)
    assert "1 of at most 5 places are taken" in str(outputs.pop(1))
    assert [y.tolist() for y in outputs] == [[2], [4]]
    assert sizes == [2]


def test_load_test_compares_and_judges(serve, artifacts, capfd, monkeypatch):
    options = ["--quick", "--clients=4", "--server-options=--max-batch=4"]
    argv = ["load_test.py", str(artifacts / "image"), *options]
    monkeypatch.setattr("sys.argv", argv)
    with pytest.raises(SystemExit) as ended:
        serve("load_test").main()
    printed = capfd.readouterr().out
    assert ended.value.code == 0, printed
    for part in ("4 clients, batching: ", " 0 errors", "memory: ", "times the through"):
        assert part in printed


def test_load_test_tells_wrong_answers(serve, images, artifacts, monkeypatch, capsys):
    load_test = serve("load_test")
    work, expected = load_test.make_requests(artifacts / "image")
    argv = ["load_test.py", str(artifacts / "image"), "--quick", "--clients=2"]
    monkeypatch.setattr("sys.argv", [*argv, f"--url=http://127.0.0.1:{images.port}"])
    expected[5] += 1
    monkeypatch.setattr(load_test, "make_requests", lambda _: (work, expected))
    with pytest.raises(SystemExit) as ended:
        load_test.main()
    assert ended.value.code == 1
    assert f"expected log_prob [{expected[5]}], got" in capsys.readouterr().out
