import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CODE = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
# What the examples print.
PRINTED = {
    "images": r"\[\(16, 4, 4, 2\), \(16, 4, 4, 2\)\]",
    "vectors": r"\(100, 3, 2\) \(100, 3\)",
    "serving": r"\(4, 8, 8, 1\) tf\.Tensor\(\[",
}


@pytest.mark.parametrize(("number", "kind"), enumerate(PRINTED), ids=PRINTED)
def test_an_example_runs_and_stays_short(number, kind, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(CODE) == len(PRINTED)
    assert len([line for line in CODE[number].splitlines() if line.strip()]) < 25
    exec(CODE[number].replace("epochs=10", "epochs=1"), {})
    assert re.search(PRINTED[kind], capsys.readouterr().out)


def test_the_examples_listed_are_those_there_are():
    text = (ROOT / "examples" / "README.md").read_text()
    listed = re.findall(r"^\| `(\w+\.py)` \|", text, re.MULTILINE)
    found = sorted(path.name for path in (ROOT / "examples").glob("*.py"))
    assert sorted(listed) == found


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", "examples/README.md", "CHANGELOG.md"]
)
def test_links_in_pages_outside_of_the_documentation_lead_somewhere(page):
    page = ROOT / page
    for link in re.findall(r"\]\((?!http)([^)#\s]+)[)#]", page.read_text()):
        assert (page.parent / link).exists(), link


def test_ci_runs_the_test_command_of_the_readme():
    after = README[README.index("takes the test command") :]
    command = re.search(r"```bash\n(.*?)\n```", after, re.DOTALL).group(1)
    assert command.startswith("pip install") and "pytest" in command
