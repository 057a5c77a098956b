"""Serves a flow's SavedModel over HTTP, with TensorFlow alone.

python examples/serve/server.py RUN/saved_model --port 8000
"""

import argparse
import asyncio
import base64
import contextlib
import dataclasses
import functools
import logging
import os
import secrets
import signal
import sys

import bodies
import numpy as np
import uvicorn
from artifact import Artifact, RefusedInput, find_artifact, use_threads
from batching import Batcher, Full
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse

logger = logging.getLogger("uvicorn.error")


@dataclasses.dataclass(frozen=True)
class Limits:
    """The limits of a server; each field is an option on the command line."""

    max_batch: int = 32
    """Images in one call of the model."""
    max_wait_ms: float = 2.0
    """How long an image may wait for others, in milliseconds."""
    max_queued: int = 512
    """Images that may wait at the same time."""
    max_images: int = 256
    """Images, or samples, of one request."""
    max_draws: int = 16
    """Draws of the noise in one request."""
    max_body: int = 4 * 2**20
    """Bytes of a request's body."""
    max_connections: int = 256
    """Connections at the same time."""
    body_seconds: float = 10.0
    """How long a client may take to send a body."""
    answer_seconds: float = 60.0
    """How long a request may take from then on."""
    lanes: int = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    """Calls of the model at the same time, each on one thread."""


def make_app(artifact, limits):
    """Returns the application; it loads `artifact` when it starts."""
    Score, Sample = bodies.make_bodies(artifact.metadata, limits)
    app = FastAPI(
        title="Density and samples of a flow",
        lifespan=_lifespan,
        redirect_slashes=False,
    )
    app.state.artifact, app.state.limits = artifact, limits
    app.state.batcher, app.state.ready = None, False

    @app.get("/health/live")
    async def live():
        return {"live": True}

    @app.get("/health")
    async def health():
        ready = app.state.ready
        return JSONResponse({"live": True, "ready": ready}, 200 if ready else 503)

    @app.get("/metadata")
    async def metadata():
        return JSONResponse(artifact.metadata)

    @app.post("/score", openapi_extra=_body_schema(Score))
    async def score(request: Request):
        _check_ready(app)
        body = await bodies.read(request, Score, limits)
        rows = {"x": bodies.events(body, artifact.metadata, limits)}
        rows |= bodies.condition(body, artifact.metadata, len(rows["x"]))
        options = body.model_dump(include={"num_draws", "seed"})
        call = functools.partial(artifact.score, **options)
        key = tuple(options.values())
        outputs = await _answer(app, app.state.batcher.submit(key, call, rows))
        return {name: value.tolist() for name, value in outputs.items()}

    @app.post("/sample", openapi_extra=_body_schema(Sample))
    async def sample(request: Request):
        _check_ready(app)
        body = await bodies.read(request, Sample, limits)
        count = body.num_samples
        options = body.model_dump(exclude={"condition"})
        # The answer has the drawn seed, with which the client can repeat the samples.
        options["seed"] = body.seed or (secrets.randbits(31), secrets.randbits(31))
        call = functools.partial(
            artifact.sample,
            **options,
            **bodies.condition(body, artifact.metadata, count),
        )
        outputs = await _answer(app, app.state.batcher.submit_alone(call, count))
        answer = {"seed": options["seed"], "log_prob": outputs["log_prob"].tolist()}
        if "images" not in outputs:
            return answer | {"samples": outputs["samples"].tolist()}
        images = outputs["images"]
        encoded = base64.b64encode(np.ascontiguousarray(images)).decode()
        return answer | {"images": {"b64": encoded, "shape": images.shape}}

    return app


@contextlib.asynccontextmanager
async def _lifespan(app):
    limits = app.state.limits
    app.state.batcher = Batcher(
        max_batch=limits.max_batch,
        max_wait=limits.max_wait_ms / 1000,
        max_queued=limits.max_queued,
        lanes=limits.lanes,
    )
    # Meanwhile /health answers.
    loading = asyncio.create_task(_load(app))
    yield
    await loading
    await app.state.batcher.close()


async def _load(app):
    artifact, batcher = app.state.artifact, app.state.batcher
    try:
        await asyncio.get_running_loop().run_in_executor(
            batcher.pool, artifact.load, app.state.limits.max_batch
        )
    except Exception as error:
        logger.exception("%s could not be loaded.", artifact.path)
        app.state.failure = error
        signal.raise_signal(signal.SIGTERM)
        return
    batcher.start()
    app.state.ready = True
    logger.info("Ready: %s", artifact.path)


async def _answer(app, outputs):
    """Returns the batcher's result, or raises the error for the client."""
    try:
        outputs = await asyncio.wait_for(outputs, app.state.limits.answer_seconds)
    except Full as full:
        raise _later(f"The queue is full: {full}.") from None
    except asyncio.TimeoutError:
        seconds = app.state.limits.answer_seconds
        raise _later(f"There was no result within {seconds:g} s.") from None
    except RefusedInput as refused:
        raise bodies.refused(str(refused)) from None
    for name in ("log_prob", "samples"):
        if name in outputs and not np.isfinite(outputs[name]).all():
            finite = np.isfinite(outputs[name]).reshape(len(outputs[name]), -1)
            row = int(np.argmin(finite.all(axis=1)))
            raise bodies.refused(
                f"{name}[{row}] is not finite; JSON has no such number."
            )
    return outputs


def _check_ready(app):
    if not app.state.ready:
        raise _later("The model is being loaded.")


def _later(message):
    return HTTPException(503, message, headers={"Retry-After": "1"})


def _body_schema(model):
    schema = {"application/json": {"schema": model.model_json_schema()}}
    return {"requestBody": {"content": schema, "required": True}}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("artifact", help="a SavedModel, or a folder of its versions")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    for field in dataclasses.fields(Limits):
        option = "--" + field.name.replace("_", "-")
        parser.add_argument(option, type=field.type, default=field.default)
    arguments = vars(parser.parse_args())
    try:
        artifact = Artifact(find_artifact(arguments.pop("artifact")))
    except (OSError, ValueError) as error:
        parser.error(str(error))
    host, port = arguments.pop("host"), arguments.pop("port")
    limits = Limits(**arguments)
    use_threads(limits.lanes)

    app = make_app(artifact, limits)

    def end(*_):
        sys.exit(hasattr(app.state, "failure"))

    # Uvicorn stops gracefully on these, and then raises them again.
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    uvicorn.run(
        app,
        host=host,
        port=port,
        access_log=False,
        limit_concurrency=limits.max_connections,
        timeout_graceful_shutdown=int(limits.body_seconds + limits.answer_seconds) + 1,
    )
    end()


if __name__ == "__main__":
    main()
