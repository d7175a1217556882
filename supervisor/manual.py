"""The man pages, out of the tables that the programs read their command lines by.

`python -m supervisor.documents` writes them to docs/man.
"""

from __future__ import annotations

import argparse

from runtime import VERSION
from runtime.cli.help import ABOUT, SUMMARY, flag_rows
from runtime.cli.main import COMMANDS as RUNTIME_COMMANDS
from runtime.cli.main import GLOBAL_FLAGS, command_of
from supervisor.ctl.commands import COMMANDS, GLOBAL, STATUSES, Option
from supervisor.settings import DEFAULT, SECTIONS
from supervisor.workload.schema import walk


def creche() -> str:
    """creche(1)."""
    page = _Page("creche", 1, SUMMARY)
    page.synopsis("creche", "[GLOBAL OPTION...] COMMAND [OPTION...] [ARGUMENT...]")
    page.section("DESCRIPTION")
    for paragraph in ABOUT.replace("{name}", "creche").split("\n\n"):
        if paragraph.startswith("    "):
            page.verbatim(paragraph)
        else:
            page.paragraph(paragraph)
    page.section("GLOBAL OPTIONS")
    for name, meaning in flag_rows(GLOBAL_FLAGS, {"root": "/run/creche"}):
        page.item(name, meaning)
    page.section("COMMANDS")
    for word in RUNTIME_COMMANDS:
        command = command_of(word)
        page.subsection(f"creche {word} {command.args or ''}".strip())
        page.paragraph(f"{command.usage[:1].upper()}{command.usage[1:]}.")
        if command.about:
            page.verbatim(command.about.replace("{name}", "creche"))
        for name, meaning in flag_rows(command.flags):
            page.item(name, meaning)
    page.see_also("creched(8)", "crechectl(1)", "runc(8)")
    return page.text()


def creched() -> str:
    """creched(8)."""
    from supervisor.commandline import _parser

    parser = _parser()
    page = _Page("creched", 8, "keep the containers in a directory running")
    page.synopsis("creched", "--workloads DIR [OPTION...]")
    page.section("DESCRIPTION")
    page.paragraph(str(parser.description))
    page.paragraph(
        "Each directory in DIR is a workload: a bundle, and a file workload.toml with what OCI has "
        "no word for, described in docs/workload.md. crechectl(1) shows and changes how they stand."
    )
    page.section("OPTIONS")
    for action in parser._actions:
        value = "" if action.nargs == 0 else f" {action.metavar or _choices(action)}"
        text = (action.help or "") % {**vars(action), "prog": parser.prog}
        page.item(", ".join(action.option_strings) + value, text)
    page.section("SIGNALS")
    page.paragraph(str(parser.epilog))
    page.section("FILES")
    page.item("ROOT/.creched/control.sock", "The admin socket, for root alone: see CONTROL.")
    page.item(DEFAULT, "Settings of creched itself; docs/creched.md describes them.")
    for section, _ in walk(SECTIONS):
        for field in section.fields:
            page.item(f"  [{section.name}] {field.key}", field.meaning.replace("`", ""))
    page.section("CONTROL")
    page.paragraph(
        "creched answers HTTP/1.1 requests with JSON on a Unix socket; GET /openapi.json describes "
        "them. Who may connect is decided by the mode of the socket. Each change that was asked "
        "for is an event `control` with the credentials of who asked. /metrics has metrics for "
        "Prometheus, /events all events as server-sent events."
    )
    page.section("EVENTS")
    page.paragraph(
        "Every change of state is one event, on standard output and in /events. docs/events.md "
        "lists all of them with their fields; within a version they are only added to."
    )
    page.see_also("crechectl(1)", "creche(1)", "systemd.service(5)")
    return page.text()


def crechectl() -> str:
    """crechectl(1)."""
    page = _Page("crechectl", 1, "ask creched how its workloads stand, and tell it what to do")
    page.synopsis("crechectl", "[--socket PATH | --root DIR] COMMAND [OPTION...] [NAME...]")
    page.section("DESCRIPTION")
    page.paragraph(
        "crechectl talks to a running creched(8) over its control socket. It prints tables for "
        "people, with colours on a terminal only, and with --json what scripts can read."
    )
    page.section("OPTIONS")
    for option in GLOBAL:
        page.item(*_option(option))
    page.section("COMMANDS")
    for command in COMMANDS:
        page.subsection(f"crechectl {command.name} {' '.join(map(_short, command.options))}")
        page.paragraph(command.sentences)
        for option in command.options:
            page.item(*_option(option))
    page.section("EXIT STATUS")
    for status, meaning in STATUSES.items():
        page.item(str(status), meaning)
    page.section("ENVIRONMENT")
    page.item("CRECHE_SOCKET", "The control socket, where --socket is not given.")
    page.see_also("creched(8)", "creche(1)")
    return page.text()


PAGES = {"creche.1": creche, "creched.8": creched, "crechectl.1": crechectl}


class _Page:
    """Puts a page together in man(7)'s language."""

    def __init__(self, name: str, section: int, summary: str) -> None:
        self._lines = [
            '.\\" Made by `python -m supervisor.documents`: change the tables it is made from.',
            f'.TH {name.upper()} {section} "" "creche {VERSION}"',
            ".SH NAME",
            f"{name} \\- {_plain(summary)}",
        ]

    def synopsis(self, name: str, rest: str) -> None:
        """How it is called."""
        self.section("SYNOPSIS")
        self._lines += [f".B {name}", _plain(rest)]

    def section(self, title: str) -> None:
        """A heading."""
        self._lines.append(f".SH {title}")

    def subsection(self, title: str) -> None:
        """A smaller one."""
        self._lines.append(f".SS {_plain(title.strip())}")

    def paragraph(self, text: str) -> None:
        """Running text."""
        self._lines += [".PP", _plain(" ".join(text.split()))]

    def verbatim(self, text: str) -> None:
        """Lines as they are."""
        self._lines += [".PP", ".nf", *(_plain(line) for line in text.split("\n")), ".fi"]

    def item(self, term: str, text: str) -> None:
        """An option, or whatever else is explained."""
        self._lines += [".TP", f".B {_plain(term)}", _plain(" ".join(text.split()) or "-")]

    def see_also(self, *pages: str) -> None:
        """Other pages."""
        self.section("SEE ALSO")
        self._lines.append(", ".join(_plain(page) for page in pages))

    def text(self) -> str:
        """The page."""
        return "\n".join(self._lines) + "\n"


def _plain(text: str) -> str:
    """No character of it means anything to roff."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text[:1] in (".", "'") else text


def _option(option: Option) -> tuple[str, str]:
    names = ", ".join(name for name in (option.short, option.flag) if name)
    term = f"{names} {option.value}".strip()
    default = "" if option.default is None else f" (default: {option.default})"
    return (term, option.meaning + default)


def _short(option: Option) -> str:
    if option.flag[0] == "-":
        word = f"{option.short or option.flag} {option.value}".strip()
        return f"[{word}]"
    word = option.flag + ("..." if option.many else "")
    return word if option.required else f"[{word}]"


def _choices(action: argparse.Action) -> str:
    return "|".join(action.choices or ()) or action.dest.upper()
