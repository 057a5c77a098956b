"""The examples, which are no package, as modules."""

import importlib.util
import pathlib
from unittest import mock

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


def load_example(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_main(name, monkeypatch, output, *, instead=None, **options):
    """Runs the example as from the command line.

    Functions of the example that another test calls can be had `instead` by what they
    return; they still must be called as they are defined.
    """
    arguments = [f"--{option}={value}" for option, value in options.items()]
    argv = [name, f"--output={output}", *arguments]
    monkeypatch.setattr("sys.argv", argv)
    example = load_example(name)
    for function, value in (instead or {}).items():
        stub = mock.create_autospec(getattr(example, function), return_value=value)
        monkeypatch.setattr(example, function, stub)
    example.main()
    for function in instead or {}:
        getattr(example, function).assert_called()


def is_png(path):
    return path.read_bytes().startswith(b"\x89PNG")
