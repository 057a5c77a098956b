import pathlib
import re

import pytest

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
    examples = README.parent / "examples"
    text = (examples / "README.md").read_text()
    listed = re.findall(r"^\| `(\w+\.py)` \|", text, re.MULTILINE)
    assert sorted(listed) == sorted(path.name for path in examples.glob("*.py"))


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", "examples/README.md", "CHANGELOG.md"]
)
def test_links_in_pages_outside_of_the_documentation_lead_somewhere(page):
    page = README.parent / page
    for link in re.findall(r"\]\((?!http)([^)#\s]+)[)#]", page.read_text()):
        assert (page.parent / link).exists(), link


def test_ci_runs_the_test_command_of_the_readme():
    text = README.read_text()
    after = text[text.index("takes the test command") :]
    command = re.search(r"```bash\n(.*?)\n```", after, re.DOTALL).group(1)
    assert command.startswith("pip install") and "pytest" in command
