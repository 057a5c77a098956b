"""Writes the command-line reference from the parser of `tfp-realnvp`."""

import argparse
from collections.abc import Iterator

from mkdocs.structure.pages import Page

from tfp_realnvp.cli.main import make_parser

PAGE = "reference/command_line.md"


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Returns the page's Markdown; adds all options to the command-line reference."""
    if page.file.src_uri != PAGE:
        return markdown
    return "\n".join([markdown, *_commands(make_parser())])


def _commands(parser: argparse.ArgumentParser) -> Iterator[str]:
    (commands,) = (
        action
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    for name, command in commands.choices.items():
        yield f"\n## {parser.prog} {name}\n\n{command.description}\n"
        for group in command._action_groups:
            actions = [action for action in group._group_actions if _shown(action)]
            if actions:
                yield f"\n{group.title.capitalize()}:\n"
                yield "| | | default |\n|---|---|---|"
                yield from map(_row, actions)


def _shown(action: argparse.Action) -> bool:
    return not isinstance(action, argparse._HelpAction)


def _row(action: argparse.Action) -> str:
    values = action.metavar or (
        "{" + ",".join(map(str, action.choices)) + "}" if action.choices else ""
    )
    if not action.option_strings:
        name = values or action.dest.upper()
    elif action.nargs == 0:
        name = action.option_strings[-1]
    else:
        name = f"{action.option_strings[-1]} {values or action.dest.upper()}"
    given = action.default not in (None, False, argparse.SUPPRESS)
    default = f"`{action.default}`" if given else ""
    text = (action.help or "").replace("|", "\\|")
    return f"| `{name}` | {text} | {default} |"
