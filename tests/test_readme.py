import pathlib
import re

README = pathlib.Path(__file__).parent.parent / "README.md"


def test_the_example_runs_and_stays_short(capsys):
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    lines = [line for line in example.splitlines() if line.strip()]
    assert len(lines) < 25
    assert "epochs=10" in example
    exec(example.replace("epochs=10", "epochs=1"), {})
    assert "[(16, 4, 4, 2), (16, 4, 4, 2)]" in capsys.readouterr().out


def test_ci_runs_the_test_command_of_the_readme():
    text = README.read_text()
    after = text[text.index("takes the test command") :]
    command = re.search(r"```bash\n(.*?)\n```", after, re.DOTALL).group(1)
    assert command.startswith("pip install") and "pytest" in command
