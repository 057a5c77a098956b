import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent


def lint_imports(where):
    return subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command as run; run()",
            "--no-cache",
        ],
        cwd=where,
        capture_output=True,
        text=True,
    )


def test_every_module_imports_only_from_the_layers_below_it():
    ended = lint_imports(ROOT)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Contracts: 2 kept, 0 broken." in ended.stdout


def test_an_import_of_a_higher_layer_is_found(tmp_path):
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "tfp_realnvp", tmp_path / "tfp_realnvp")
    (tmp_path / "tfp_realnvp" / "nets" / "upwards.py").write_text(
        "from tfp_realnvp.flows import image_flow\n"
    )
    ended = lint_imports(tmp_path)
    assert ended.returncode == 1
    assert "tfp_realnvp.nets is not allowed to import tfp_realnvp.flows" in ended.stdout
