"""One call to the GPU machine: takes in its folder, starts training if needed, waits.

    python3 runs/gpu/1/call.py --bring runs/gpu/1
    python3 /tmp/nvp/call.py --bring runs/gpu/2 --train-seconds 560 --wait 560
    python3 /tmp/nvp/call.py --wait 120

Each but the first has `--output "$OUT"` too. The first starts `train.py`, which goes on
when the call is over and compiles while the images travel. Once the length of training
is named it trains, and every minute what would be missed most lies in the output.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

STARTED = time.time()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--folder", type=pathlib.Path, default=pathlib.Path("/tmp/nvp"), help="stays")
    add("--bring", type=pathlib.Path, help="folder that came with this call")
    add("--train-seconds", type=float, help="until training ends, from now on")
    add("--peer-seconds", type=float, default=40, help="for the PyTorch flow, after")
    add("--wait", type=float, default=0, help="seconds that this call may take")
    add("--output", type=pathlib.Path, help="folder that goes back")
    arguments = parser.parse_args()
    folder = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    if arguments.bring is not None:
        _take_in(arguments.bring, folder)
    if arguments.train_seconds is not None:
        end = STARTED + arguments.train_seconds
        go = {"end": end, "peer_seconds": arguments.peer_seconds}
        _write(folder / "go.json", json.dumps(go).encode())
    _start_unless_running(folder)
    seen = None
    while True:
        # In this order: what is finished has been published before.
        over = (folder / "finished").exists() or not _is_running(folder)
        seen = _publish(folder, arguments.output, seen)
        if over or time.time() - STARTED >= arguments.wait:
            break
        time.sleep(1)
    log = (folder / "train.log").read_text(errors="replace")
    print(log[-6000:])
    is_finished = (folder / "finished").exists()
    state = "is finished" if is_finished else "has failed" if over else "goes on"
    print(f"training {state}; this call took {time.time() - STARTED:.0f} s")
    if over and not is_finished:
        sys.exit(1)


def _take_in(bring, folder):
    for path in sorted(bring.iterdir()):
        _write(folder / path.name, path.read_bytes())
    programs = folder / "programs.zip"
    if programs.exists():
        shutil.unpack_archive(programs, folder)
        programs.unlink()


def _start_unless_running(folder):
    if (folder / "finished").exists() or _is_running(folder):
        return
    with open(folder / "train.log", "ab") as log:
        # A session of its own outlives the call.
        process = subprocess.Popen(
            [sys.executable, "-u", str(folder / "train.py")],
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    (folder / "pid").write_text(str(process.pid))


def _is_running(folder):
    try:
        pid = int((folder / "pid").read_text())
        # A child that has ended stays a zombie until it is waited for.
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]
        return state.split()[0] != "Z"
    except OSError:
        return False


def _publish(folder, output, seen):
    """Copies what was written last, unless it was copied before; returns its name."""
    latest = folder / "latest"
    if output is None or not latest.exists():
        return seen
    name = latest.read_text()
    if name != seen:
        output.mkdir(parents=True, exist_ok=True)
        for path in (*(folder / name).iterdir(), folder / "train.log"):
            _write(output / path.name, path.read_bytes())
    return name


def _write(path, content):
    # Whoever waits for a file finds all of it.
    temporary = path.with_name(f".{path.name}")
    temporary.write_bytes(content)
    os.replace(temporary, path)


if __name__ == "__main__":
    main()
