"""Bodies of requests: read within limits, checked, and turned into arrays."""

import asyncio
import base64
import binascii
import reprlib
from typing import Annotated

import numpy as np
from fastapi import HTTPException
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    create_model,
)
from pydantic_core import from_json
from starlette.requests import ClientDisconnect

INT32 = 2**31
Byte = Annotated[int, Field(ge=0, le=255, strict=True)]
Float = Annotated[float, Field(allow_inf_nan=False, strict=True)]
Int32 = Annotated[int, Field(ge=-INT32, lt=INT32, strict=True)]
Seed = tuple[Int32, Int32]


class Strict(BaseModel):
    """A model that refuses unknown fields."""

    model_config = ConfigDict(extra="forbid")


class Encoded(Strict):
    """Images as one string."""

    b64: Annotated[str, Field(description="base64 of uint8 bytes, in C order")]


def make_bodies(metadata, limits):
    """Returns the models of the bodies of /score and /sample for a flow."""
    event_shape, size = metadata["event_shape"], metadata["condition_size"]
    if metadata["is_over_pixels"]:
        lists = _lists(Byte, event_shape, limits.max_images)
        score = {
            "images": (_either(lists=lists, b64=Encoded), ...),
            "num_draws": (_count(limits.max_draws), 1),
            "seed": (Seed, (0, 0)),
        }
    else:
        score = {"x": (_lists(Float, event_shape, limits.max_images), ...)}
    sample = {
        "num_samples": (_count(limits.max_images), 1),
        "seed": (Seed | None, None),
    }
    if "temperature" in metadata["signatures"]["sample"]["inputs"]:
        sample["temperature"] = (Annotated[Float, Field(ge=0, le=10)], 1.0)
    if size is not None:
        label = Annotated[int, Field(ge=0, lt=size, strict=True)]
        condition = _either(
            labels=_lists(label, (), limits.max_images),
            vectors=_lists(Float, (size,), limits.max_images),
        )
        score["condition"] = sample["condition"] = (condition, ...)
    return (
        create_model("Score", __base__=Strict, **score),
        create_model("Sample", __base__=Strict, **sample),
    )


def events(body, metadata, limits):
    """Returns the array that is scored."""
    shape = metadata["event_shape"]
    if not metadata["is_over_pixels"]:
        return _floats("x", body.x, metadata["dtype"])
    if not isinstance(body.images, Encoded):
        return np.array(body.images, np.uint8)
    try:
        raw = base64.b64decode(body.images.b64, validate=True)
    except (binascii.Error, ValueError) as error:
        raise refused(f"images.b64: expected base64, got {error}.") from None
    count, rest = divmod(len(raw), int(np.prod(shape)))
    if rest or not 1 <= count <= limits.max_images:
        raise refused(
            f"images.b64: expected 1 to {limits.max_images} images of shape {shape}, "
            f"{np.prod(shape)} bytes each, got {len(raw)} bytes."
        )
    return np.frombuffer(raw, np.uint8).reshape(-1, *shape)


def condition(body, metadata, count):
    """Returns the vectors of the condition as `dict`, empty if the flow takes none."""
    size = metadata["condition_size"]
    if size is None:
        return {}
    if len(body.condition) != count:
        raise refused(
            f"condition: expected {count}, one for each image, got "
            f"{len(body.condition)}."
        )
    if not isinstance(body.condition[0], list):
        return {"condition": np.eye(size, dtype=metadata["dtype"])[body.condition]}
    return {"condition": _floats("condition", body.condition, metadata["dtype"])}


async def read(request, model, limits):
    """Returns the body of a request as `model`; raises the error that refuses it."""
    try:
        raw = await asyncio.wait_for(_read_bytes(request, limits), limits.body_seconds)
    except asyncio.TimeoutError:
        raise HTTPException(
            408,
            f"body: expected within {limits.body_seconds:g} s.",
            headers={"Connection": "close"},
        ) from None
    try:
        return model.model_validate(from_json(raw, allow_inf_nan=False))
    except ValidationError as invalid:
        raise refused(_first_message(invalid)) from None
    except ValueError as error:
        raise HTTPException(400, f"body: expected JSON, got {error}.") from None


def refused(message):
    # Clients can make names of fields as long as a body.
    return HTTPException(422, message[:500])


async def _read_bytes(request, limits):
    too_long = HTTPException(413, f"body: expected at most {limits.max_body} bytes.")
    if int(request.headers.get("content-length", 0)) > limits.max_body:
        raise too_long
    body = bytearray()
    try:
        # The header may be missing, or lie.
        async for chunk in request.stream():
            body += chunk
            if len(body) > limits.max_body:
                raise too_long
    except ClientDisconnect:
        raise HTTPException(400, "body: expected all of it, got a part.") from None
    return bytes(body)


def _count(most):
    return Annotated[int, Field(ge=1, le=most, strict=True)]


def _lists(leaf, shape, max_count):
    for size in reversed(shape):
        leaf = _list_of(leaf, size, size)
    return _list_of(leaf, 1, max_count)


def _list_of(leaf, least, most):
    field = Field(min_length=least, max_length=most, fail_fast=True)
    return Annotated[list[leaf], field]


def _either(**kinds):
    """Returns the type of a field that takes two kinds of values."""
    first, second = kinds

    def kind(value):
        if isinstance(value, list) and "vectors" in kinds:
            return second if value and isinstance(value[0], list) else first
        return second if isinstance(value, dict) else first

    types = [Annotated[type_, Tag(name)] for name, type_ in kinds.items()]
    return Annotated[types[0] | types[1], Discriminator(kind)]


def _floats(name, values, dtype):
    with np.errstate(over="ignore"):
        array = np.array(values, dtype)
    if not np.isfinite(array).all():
        raise refused(f"{name}: expected numbers of {dtype}, got greater ones.")
    return array


def _first_message(invalid):
    error = invalid.errors(include_url=False)[0]
    kinds = ("lists", "b64", "labels", "vectors")
    loc = error["loc"] or ("body",)
    field, *place = [p for i, p in enumerate(loc) if i != 1 or p not in kinds]
    where = field + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in place)
    return f"{where}: {error['msg']}, got {reprlib.repr(error['input'])}."
