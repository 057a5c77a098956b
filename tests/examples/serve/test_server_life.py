import pathlib
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from served import IMAGES, LIMITS, b64

# The servers are started once.
pytestmark = pytest.mark.xdist_group("serve")


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
