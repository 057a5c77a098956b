import pathlib
import shutil
import subprocess
import sys
import zipfile

import tfp_realnvp as nvp

ROOT = pathlib.Path(__file__).parent.parent
LINT = "from importlinter.cli import lint_imports_command as run; run()"
_CACHES = shutil.ignore_patterns("__pycache__")


def wheel(path):
    # A build leaves things behind, which are not to be found by the next one.
    sources = path / "sources"
    shutil.copytree(ROOT / "tfp_realnvp", sources / "tfp_realnvp", ignore=_CACHES)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, sources)
    # Without isolation nothing is downloaded.
    command = "-m pip wheel --no-deps --no-build-isolation --quiet --wheel-dir"
    subprocess.run([sys.executable, *command.split(), path, sources], check=True)
    (found,) = path.glob("*.whl")
    return zipfile.ZipFile(found).namelist()


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(tmp_path):
    names = wheel(tmp_path)
    there = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "tfp_realnvp").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    packed = {name for name in names if ".dist-info/" not in name}
    assert packed == there
    assert {"tfp_realnvp/py.typed", "tfp_realnvp/gallery/page.js"} <= packed
    assert f"tfp_realnvp-{nvp.__version__}.dist-info/METADATA" in names


def test_public_names_are_those_that_are_imported():
    public = {name for name in vars(nvp) if not name.startswith("_")}
    modules = {name for name in public if type(vars(nvp)[name]).__name__ == "module"}
    assert public - modules - {"TYPE_CHECKING", "Any"} == set(nvp.__all__)
    assert {*nvp.bijectors.__all__, *nvp.nets.__all__} <= set(nvp.__all__)


def test_public_names_are_there_whatever_was_imported_first():
    code = """
import pickle, sys
import tfp_realnvp as nvp
assert "tensorflow" not in sys.modules
assert nvp.nets.MLP is nvp.MLP
assert all(getattr(nvp, name) is not None for name in nvp.__all__)
assert pickle.loads(pickle.dumps(nvp.FlowModel)) is nvp.FlowModel
import keras
assert keras.saving.get_registered_object("tfp_realnvp>FlowModel") is nvp.FlowModel
for name in [name for name in sys.modules if name.startswith("tfp_realnvp")]:
    del sys.modules[name]
keras.config.backend = lambda: "torch"
import tfp_realnvp
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    *_, last = result.stderr.splitlines()
    assert last.startswith("ImportError: tfp_realnvp needs Keras on TensorFlow, got")
    assert "'torch'; set KERAS_BACKEND=tensorflow" in last


def lint_imports(where):
    command = [sys.executable, "-c", LINT, "--no-cache"]
    return subprocess.run(command, cwd=where, capture_output=True, text=True)


def test_modules_import_only_from_the_layers_below_them(tmp_path):
    ended = lint_imports(ROOT)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "tfp_realnvp", tmp_path / "tfp_realnvp")
    (tmp_path / "tfp_realnvp" / "nets" / "upwards.py").write_text(
        "from tfp_realnvp.flows import image_flow\n"
    )
    ended = lint_imports(tmp_path)
    assert ended.returncode == 1
    assert "tfp_realnvp.nets is not allowed to import tfp_realnvp.flows" in ended.stdout
