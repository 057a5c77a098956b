"""Compares the results of an exported flow's clients with those of the flow itself.

    python benchmarks/serving_clients.py runs/cifar10 --images 1000 --output my/clients

The flow of a run is exported and scores the same test images in TensorFlow without
Keras, TFP and this package, in `saved_model_cli`, in a C program and in ONNX Runtime
(`examples/clients/`), and through the HTTP server (`examples/serve/`), each in its own
virtual environment. The exit status is 1 if a client's log_prob is off by more than
1e-5 of its value, or if the same seed gives other samples.
"""

import argparse
import base64
import json
import pathlib
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import venv

import numpy as np
import tensorflow as tf
from harness.tables import table

import tfp_realnvp as nvp
from tfp_realnvp.flows import condition_vectors, distribution_kwargs
from tfp_realnvp.runs import RunDirectory

EXAMPLES = pathlib.Path(__file__).resolve().parents[1] / "examples"
CLIENTS = EXAMPLES / "clients"
ALLOWED = 1e-5
DRAWN = {"num_samples": 16, "num_draws": 2, "seed": [3, 4], "temperature": 0.8}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="folder of the run")
    parser.add_argument("--data-dir", help="where the data are now, if elsewhere")
    parser.add_argument("--weights", default="last", help="last, best or average")
    parser.add_argument("--images", type=int, default=1000, help="test images to use")
    parser.add_argument("--seed", type=int, default=0, help="of the noise")
    parser.add_argument("--output", required=True, help="folder to work in")
    arguments = parser.parse_args()
    work = pathlib.Path(arguments.output).resolve()
    work.mkdir(parents=True, exist_ok=True)

    directory = RunDirectory(arguments.run)
    data = directory.load_config().load_data(arguments.data_dir)
    flow = directory.load_model(arguments.weights).flow
    saved = nvp.export_saved_model(flow, work / "saved_model", overwrite=True)
    given = inputs(flow, data, arguments.images, arguments.seed)
    expected = live(flow, given)
    np.savez(work / "inputs.npz", **given)

    rows, failed = [], False
    clients = (tensorflow_alone, command_line, c_program, onnx_runtime, http_server)
    for client in clients:
        name = client.__doc__.rstrip(".")
        print(f"{name} ...", flush=True)
        for key, value in client(work, saved).items():
            wanted = expected[key]
            off = np.max(np.abs(value - wanted) / np.maximum(np.abs(wanted), 1))
            rows.append([name, key, f"{off:.1e}"])
            failed |= key.endswith("log_prob") and not off <= ALLOWED
    print(f"\n{len(given['x'])} test images of {data.name}, {arguments.run}\n")
    print(table(["client", "result", "largest relative difference"], rows))
    drawn = [tensorflow_alone(work, saved)["sample/samples"] for _ in range(2)]
    same = np.array_equal(*drawn)
    print(f"\nThe same seed gives the same samples again: {same}")
    sys.exit(int(failed or not same))


def inputs(flow, data, count, seed):
    """Returns the inputs of the clients."""
    images = data.test.take(count)
    noise = np.random.default_rng(seed).random(images.shape, np.float32)
    given = {"x": np.minimum(images + noise, np.float32(255.99)), **DRAWN}
    given["score_images/x"] = images
    conditions = data.test.take_conditions(count)
    vectors = condition_vectors(flow, conditions, count)
    if vectors is not None:
        given |= {"condition": vectors, "sample/condition": vectors[:16]}
    return given


def live(flow, given):
    """Returns the results of the flow itself, not frozen, in batches of 100."""

    @tf.function(autograph=False)
    def log_prob(x, condition):
        return flow.log_prob(x, **distribution_kwargs(flow, condition=condition))

    @tf.function(autograph=False)
    def decode(latents, condition):
        kwargs = distribution_kwargs(flow, condition=condition)
        return flow.bijector.forward(latents, **kwargs.get("bijector_kwargs", {}))

    def scores(x):
        condition = given.get("condition")
        parts = [slice(i, i + 100) for i in range(0, len(x), 100)]
        return np.concatenate(
            [log_prob(x[p], None if condition is None else condition[p]) for p in parts]
        )

    x, draws = given["score_images/x"].astype(np.float32), []
    for draw in range(DRAWN["num_draws"]):
        own = tf.random.experimental.stateless_fold_in(DRAWN["seed"], draw)
        noise = tf.random.stateless_uniform(flow.event_shape, own).numpy()
        draws.append(scores(x + noise).astype(np.float64))
    latents = flow.distribution.sample(DRAWN["num_samples"], seed=DRAWN["seed"])
    return {
        "serving_default/log_prob": scores(given["x"]),
        "score_images/log_prob": np.logaddexp(*draws) - np.log(len(draws)),
        "sample/samples": decode(
            latents * DRAWN["temperature"], given.get("sample/condition")
        ).numpy(),
    }


def tensorflow_alone(work, saved):
    """TensorFlow without Keras and TFP."""
    outputs = work / "tensorflow.npz"
    python = plain_environment(work) / "python"
    run(python, CLIENTS / "run_tensorflow.py", saved, work / "inputs.npz", outputs)
    found = np.load(outputs)
    names = ("serving_default/log_prob", "score_images/log_prob", "sample/samples")
    return {name: found[name] for name in names}


def command_line(work, saved):
    """saved_model_cli run."""
    given = np.load(work / "inputs.npz")
    names = [name for name in ("x", "condition") if name in given]
    files = ";".join(f"{name}={work}/inputs.npz[{name}]" for name in names)
    options = ["--dir", saved, "--tag_set", "serve", "--signature_def"]
    options += ["serving_default", "--inputs", files, "--outdir", work / "cli"]
    run(plain_environment(work) / "saved_model_cli", "run", *options, "--overwrite")
    return {"serving_default/log_prob": np.load(work / "cli" / "log_prob.npy")}


def c_program(work, saved):
    """C library."""
    environment, given = plain_environment(work), np.load(work / "inputs.npz")
    (library,) = environment.parent.glob("lib/python*/site-packages/tensorflow")
    program = work / "run_signature"
    libraries = [library / f"libtensorflow_{name}.so.2" for name in ("cc", "framework")]
    compiler = ["cc", "-O2", "-Wall", "-Wextra", "-Werror", f"-I{library}/include"]
    source = CLIENTS / "run_signature.c"
    run(*compiler, "-o", program, source, *libraries, f"-Wl,-rpath,{library}")
    options = ["--dir", saved, "--tag_set", "serve", "--signature_def"]
    shown = run(environment / "saved_model_cli", "show", *options, "serving_default")
    pattern = r"puts\['(\w+)'\] tensor_info:.*?name: (\S+)"
    tensors = dict(re.findall(pattern, shown, re.DOTALL))
    files = []
    for name in ("x", "condition"):
        if name in given:
            given[name].astype(np.float32).tofile(work / f"{name}.f32")
            sizes = ",".join(map(str, given[name].shape[1:]))
            files.append(f"{tensors[name]}={work / name}.f32:{sizes}")
    printed = run(program, saved, len(given["x"]), tensors["log_prob"], *files)
    return {"serving_default/log_prob": np.array(printed.split(), np.float32)}


def onnx_runtime(work, saved):
    """ONNX Runtime."""
    python = environment_with(work / "onnx", "tf2onnx", "onnxruntime") / "python"
    model, outputs = work / "flow.onnx", work / "onnx.npz"
    options = ["--saved-model", saved, "--signature_def", "serving_default"]
    run(python, "-m", "tf2onnx.convert", *options, "--opset", "17", "--output", model)
    run(python, CLIENTS / "run_onnx.py", model, work / "inputs.npz", outputs)
    return {"serving_default/log_prob": np.load(outputs)["log_prob"]}


def http_server(work, saved):
    """HTTP server."""
    python = environment_with(work / "http", "fastapi", "uvicorn") / "python"
    given = np.load(work / "inputs.npz")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [python, EXAMPLES / "serve" / "server.py", saved, "--port", port]
    with open(work / "server.log", "w") as log:
        server = subprocess.Popen(list(map(str, command)), stderr=log)
    try:
        url, found = f"http://127.0.0.1:{port}", []
        wait_until_ready(server, f"{url}/health")
        for part in (slice(i, i + 50) for i in range(0, len(given["x"]), 50)):
            raw = given["score_images/x"][part].tobytes()
            body = {"images": {"b64": base64.b64encode(raw).decode()}}
            body |= {name: DRAWN[name] for name in ("num_draws", "seed")}
            if "condition" in given:
                body["condition"] = given["condition"][part].tolist()
            with urllib.request.urlopen(f"{url}/score", json.dumps(body).encode()) as f:
                found += json.load(f)["log_prob"]
    finally:
        server.terminate()
        server.wait()
    return {"score_images/log_prob": np.array(found)}


def wait_until_ready(server, url):
    while server.poll() is None:
        try:
            return urllib.request.urlopen(url)
        except urllib.error.URLError:
            time.sleep(0.5)
    sys.exit("The server has stopped; see server.log.")


def plain_environment(work):
    """Returns the programs of a virtual environment that has no Keras."""
    path = work / "tensorflow"
    is_new = not path.is_dir()
    programs = environment_with(path)
    if is_new:
        run(programs / "python", "-m", "pip", "uninstall", "-q", "-y", "keras")
    return programs


def environment_with(path, *packages):
    """Returns the programs of a virtual environment with this TensorFlow and others."""
    if not path.is_dir():
        venv.create(path, with_pip=True)
        tensorflow = f"tensorflow=={tf.__version__}"
        pip = (path / "bin" / "python", "-m", "pip", "install", "-q")
        run(*pip, tensorflow, *packages)
    return path / "bin"


def run(*command):
    """Runs a program, and returns what it prints."""
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"{command[0]} failed:\n{result.stderr[-3000:]}")
    return result.stdout


if __name__ == "__main__":
    main()
