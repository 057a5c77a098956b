import base64
import json
import socket
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from served import IMAGES, b64, signature

# The servers are started once.
pytestmark = pytest.mark.xdist_group("serve")


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
