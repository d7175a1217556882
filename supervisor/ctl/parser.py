"""argparse, out of the table."""

from __future__ import annotations

import argparse

from runtime import VERSION
from supervisor.ctl.commands import COMMANDS, GLOBAL, STATUSES, TARGETS, Option


def make_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog="crechectl",
        description="Asks creched, and tells it what to do.",
        epilog="exit status: " + "  ".join(f"{n}: {text}" for n, text in STATUSES.items()),
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"crechectl {VERSION}")
    for option in GLOBAL:
        _add(parser, option)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        one = commands.add_parser(
            command.name,
            help=command.meaning,
            description=command.sentences,
            allow_abbrev=False,
        )
        for option in command.options:
            _add(one, option)
    return parser


def _add(parser: argparse.ArgumentParser, option: Option) -> None:
    if not option.flag.startswith("-"):
        plural = "+" if option.required else "*"
        parser.add_argument(
            option.flag.lower(),
            metavar=option.flag,
            nargs=plural if option.many else None if option.required else "?",
            help=option.meaning,
        )
        return
    names = [name for name in (option.short, option.flag) if name]
    if not option.value:
        parser.add_argument(*names, action="store_true", help=option.meaning)
        return
    shown = option.meaning
    if option.default is not None:
        shown += f" (default: {option.default})"
    parser.add_argument(
        *names,
        metavar=option.value,
        default=option.default,
        type=_number if option.kind == "number" else str,
        choices=TARGETS if option.kind == "target" else None,
        help=shown,
    )


def _number(text: str) -> float:
    """Of seconds, events or lines. Raises ArgumentTypeError."""
    try:
        number = float(text)
        if not 0 <= number < 1e15:
            raise ValueError
    except ValueError:
        message = f"expected a number that is not negative, found {text!r}"
        raise argparse.ArgumentTypeError(message) from None
    return int(number) if number == int(number) else number
