import base64
import shutil
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf
from http_server import LIMITS

# The servers are started once.
pytestmark = pytest.mark.xdist_group("serve")

IMAGES = np.random.default_rng(0).integers(0, 256, [6, 4, 4, 1], np.uint8)
VECTORS = np.random.default_rng(1).normal(size=[6, 2])
LABELS = [0, 1, 2, 2, 1, 0]


def b64(images):
    return {"b64": base64.b64encode(images.tobytes()).decode()}


def signature(folder, name, **inputs):
    """Returns what the SavedModel itself answers."""
    served = tf.saved_model.load(folder / "1")
    inputs = {k: tf.constant(v) for k, v in inputs.items()}
    return {k: v.numpy() for k, v in served.signatures[name](**inputs).items()}


def test_health_tells_a_server_that_loads_from_one_that_is_ready(images):
    health = [health for health, _ in images.seen]
    assert health[0] == (503, {"live": True, "ready": False})
    assert health[-1] == (200, {"live": True, "ready": True})
    assert {status for _, status in images.seen[:-1]} == {503}
    assert images.call("GET", "/health/live")[:2] == (200, {"live": True})


@pytest.mark.parametrize("form", [lambda x: x.tolist(), b64])
def test_scores_are_those_of_the_saved_model(images, artifacts, form):
    draws = {"num_draws": 3, "seed": [4, -5]}
    status, found, _ = images.post("/score", images=form(IMAGES), **draws)
    expected = signature(artifacts / "image", "score_images", x=IMAGES, **draws)
    assert status == 200 and sorted(found) == ["bits_per_dim", "log_prob"]
    for name in found:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5)


def test_requests_at_the_same_time_are_answered_like_single_ones(images):
    def score(i):
        fields = {"images": b64(IMAGES[i % 6]), "num_draws": 1 + i % 2}
        status, found, _ = images.post("/score", **fields)
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
    "images[0][0][0][0]: ": {"images": [[[[0.5]] * 4] * 4]},
    "images: Field required": {},
    "images: List should have at most 6": {"images": [[[[0]] * 4] * 4] * 7},
    "images.b64: expected base64": {"images": {"b64": "A?=="}},
    "images.b64: expected 1 to 6 images": {"images": b64(IMAGES[0, 1:])},
    "num_draws: Input": {"images": b64(IMAGES), "num_draws": 20_001},
    "seed[1]: ": {"images": b64(IMAGES), "seed": [0, 2**31]},
    "condition: ": {"images": b64(IMAGES), "condition": [0]},
}
BAD_VECTORS = {
    "condition: Field required": {},
    "condition: expected 6, one for each": {"condition": [0]},
    "condition[5]: ": {"condition": [0, 0, 0, 0, 0, 3]},
    "condition: expected numbers of float32": {"condition": [[0, 0, 1e39]] * 6},
    "x[0]: ": {"x": [[0, 1, 2]] * 6, "condition": LABELS},
    "x[0][1]: ": {"x": [[0, None]] * 6, "condition": LABELS},
}
BAD_OPTIONS = {"num_samples": 0, "temperature": -1, "seed": [1]}


def test_bad_input_is_refused_with_the_name_of_the_field(images, vectors):
    requests = [(images, "/score", message, fields) for message, fields in BAD.items()]
    for message, fields in BAD_VECTORS.items():
        fields = {"x": VECTORS.tolist(), **fields}
        requests.append((vectors, "/score", message, fields))
    requests += [(images, "/sample", k, {k: v}) for k, v in BAD_OPTIONS.items()]
    for server, path, message, fields in requests:
        status, found, _ = server.post(path, **fields)
        assert (status, found["detail"][: len(message)]) == (422, message)


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (b"{", 400, "body: expected JSON"),
        (b"[" * 10_000, 400, "body: expected JSON"),
        (b'{"images": NaN}', 400, "body: expected JSON"),
        (b"[]", 422, "body: "),
        (b'{"images": [[[[1e999]]]]}', 422, "images"),
    ],
)
def test_a_body_that_is_not_a_request_is_refused(images, body, status, detail):
    found = images.call("POST", "/score", body)
    assert found[0] == status and found[1]["detail"].startswith(detail)


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
    fields = {"num_samples": 5, "seed": [1, 2], "temperature": 0.5}
    status, found, _ = images.post("/sample", **fields)
    expected = signature(artifacts / "image", "sample", **fields)
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


@pytest.mark.parametrize("condition", [LABELS, np.eye(3)[LABELS].tolist()])
def test_vectors_are_scored_under_labels_and_vectors(vectors, artifacts, condition):
    status, found, _ = vectors.post("/score", x=VECTORS.tolist(), condition=condition)
    given = {"x": np.float32(VECTORS), "condition": np.float32(np.eye(3)[LABELS])}
    expected = signature(artifacts / "conditional", "serving_default", **given)
    assert (status, list(found)) == (200, ["log_prob"])
    np.testing.assert_allclose(found["log_prob"], expected["log_prob"], rtol=1e-5)


def test_vectors_are_sampled_under_a_condition(vectors):
    fields = {"num_samples": 6, "seed": [0, 1], "condition": LABELS}
    status, found, _ = vectors.post("/sample", **fields)
    assert (status, sorted(found)) == (200, ["log_prob", "samples", "seed"])
    rescored = vectors.post("/score", x=found["samples"], condition=LABELS)[1]
    np.testing.assert_allclose(rescored["log_prob"], found["log_prob"], rtol=1e-4)


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
        assert status == 422 and "log_prob" in found["detail"]


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


def test_an_artifact_that_does_not_load_ends_the_server(start, artifacts, tmp_path):
    shutil.copytree(artifacts / "image" / "1", tmp_path, dirs_exist_ok=True)
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
    with pytest.raises(FileNotFoundError, match="expected a folder with saved_mod"):
        find_artifact(tmp_path / "11")


def test_load_test_compares_and_judges(serve, artifacts, capfd, monkeypatch):
    load_test = serve("load_test")
    argv = ["load_test.py", str(artifacts / "image"), "--quick", "--clients=4"]
    monkeypatch.setattr("sys.argv", argv)
    with pytest.raises(SystemExit) as ended:
        load_test.main()
    printed = capfd.readouterr().out
    assert ended.value.code == 0 and "4 clients, batching: " in printed, printed
    work, expected = load_test.make_requests(artifacts / "image")
    expected[5] += 1
    monkeypatch.setattr(load_test, "make_requests", lambda _: (work, expected))
    with pytest.raises(SystemExit) as ended:
        load_test.main()
    assert ended.value.code == 1
    assert f"expected log_prob [{expected[5]}], got" in capfd.readouterr().out
