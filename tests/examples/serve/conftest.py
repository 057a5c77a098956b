import importlib
import sys

import pytest
import saved_flows
from constructors import perturb
from http_server import LIMITS, SERVE, Server

import tfp_realnvp as nvp


@pytest.fixture(scope="session", autouse=True)
def fastapi():
    for module in ("fastapi", "uvicorn"):
        pytest.importorskip(module, reason='needs pip install ".[serve]"')


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory):
    """Folders of the versions of a flow over images and of one over vectors."""
    folder = tmp_path_factory.mktemp("artifacts")
    sizes = {"num_scales": 1, "filters": 4, "num_blocks": 1}
    image = nvp.image_flow(event_shape=(4, 4, 1), **sizes, seed=0)
    flows = {"image": image, "conditional": saved_flows.conditional(seed=0)}
    for name, flow in flows.items():
        perturb(flow)
        nvp.export_saved_model(flow, folder / name / "1")
    return folder


@pytest.fixture(scope="session")
def images(start, artifacts):
    server = start(artifacts / "image", **LIMITS)
    server.seen = server.ready()
    return server


@pytest.fixture(scope="session")
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
