import pathlib
import re

README = pathlib.Path(__file__).parent.parent / "README.md"


def example(number):
    found = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(found) == 3
    lines = [line for line in found[number].splitlines() if line.strip()]
    assert len(lines) < 25
    return found[number]


def trained_shortly(number):
    assert "epochs=10" in example(number)
    return example(number).replace("epochs=10", "epochs=1")


def test_the_example_of_images_runs_and_stays_short(capsys):
    exec(trained_shortly(0), {})
    assert "[(16, 4, 4, 2), (16, 4, 4, 2)]" in capsys.readouterr().out


def test_the_example_of_vectors_runs_and_stays_short(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(trained_shortly(1), {})
    assert "(100, 3, 2) (100, 3)" in capsys.readouterr().out


def test_the_example_of_serving_runs_and_stays_short(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(example(2), {})
    assert re.search(r"\(4, 8, 8, 1\) tf\.Tensor\(\[", capsys.readouterr().out)


def test_the_examples_listed_are_those_there_are():
    listed = re.findall(r"^\| `(\w+\.py)` \|", README.read_text(), re.MULTILINE)
    there = [path.name for path in (README.parent / "examples").glob("*.py")]
    assert sorted(listed) == sorted(there)


def test_ci_runs_the_test_command_of_the_readme():
    text = README.read_text()
    after = text[text.index("takes the test command") :]
    command = re.search(r"```bash\n(.*?)\n```", after, re.DOTALL).group(1)
    assert command.startswith("pip install") and "pytest" in command
