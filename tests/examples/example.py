"""The examples, which are no package, as modules."""

import importlib.util
import pathlib

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


def load_example(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_main(name, monkeypatch, output, **options):
    """Runs the example as from the command line."""
    arguments = [f"--{option}={value}" for option, value in options.items()]
    argv = [name, f"--output={output}", *arguments]
    monkeypatch.setattr("sys.argv", argv)
    load_example(name).main()


def is_png(path):
    return path.read_bytes().startswith(b"\x89PNG")
