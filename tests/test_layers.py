import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent
RUN = "from importlinter.cli import lint_imports_command as run; run()"


def lint_imports(where):
    command = [sys.executable, "-c", RUN, "--no-cache"]
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
