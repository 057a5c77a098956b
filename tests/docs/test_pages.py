"""The code and commands in the pages of `docs/` and in the README."""

import pathlib
import re
import shlex

import pytest

from tfp_realnvp.cli import make_parser

ROOT = pathlib.Path(__file__).parents[2]
PROGRAMS = {"pip", "cc", "./run_signature", "saved_model_cli", "pytest", "ruff", "mypy"}
PAGES = sorted((ROOT / "docs").rglob("*.md"))


def blocks(page, language):
    """Yields the line before each code block of the language, and the block."""
    text = page.read_text(encoding="utf-8")
    for found in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.M | re.S):
        yield text[: found.start(1)].count("\n"), found[1]


def commands(page):
    """Yields the commands of the page's shell blocks, comments left out."""
    for _, block in blocks(page, "bash"):
        for line in block.replace("\\\n", " ").splitlines():
            for command in line.split(" && "):
                if words := shlex.split(command, comments=True):
                    yield words


def named(path):
    return str(path.relative_to(ROOT))


def having(language):
    return [page for page in PAGES if any(blocks(page, language))]


@pytest.mark.parametrize("page", having("python"), ids=named)
def test_code_of_a_page_runs_as_printed(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for line, code in blocks(page, "python"):
        # Errors name the page, and the line there.
        exec(compile("\n" * line + code, str(page), "exec"), names)


@pytest.mark.parametrize("page", [ROOT / "README.md", *having("bash")], ids=named)
def test_commands_of_a_page_are_ones_that_there_are(page):
    parser = make_parser()
    for words in commands(page):
        while re.fullmatch(r"\w+=.*", words[0]):
            words = words[1:]
        match words:
            case ["tfp-realnvp", *arguments]:
                parser.parse_args(arguments)
            case ["python", program, *_]:
                assert (ROOT / program).exists(), program
            case [program, *_]:
                assert program in PROGRAMS


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_no_other_languages_hide_code_from_the_tests(page):
    found = re.findall(r"^```(\w*)$", page.read_text(encoding="utf-8"), re.M)
    assert set(found) <= {"python", "bash", "none", "json", ""}
