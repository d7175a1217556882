"""Completion files for bash, zsh and fish, out of the table of commands.

`python -m supervisor.ctl.completion` writes them to etc/completions; a test tells when they are not
current. Names of workloads are asked for with `crechectl status --json`: where creched does not
answer, there are none.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from supervisor.ctl.commands import COMMANDS, GLOBAL, TARGETS, Command, Option

DIRECTORY = Path(__file__).parents[2] / "etc" / "completions"
SIGNALS = sorted(each.name for each in signal.Signals)
_ASK = (
    "crechectl status --json 2>/dev/null | "
    """sed -n 's/^ *"name": "\\([A-Za-z0-9][A-Za-z0-9_.-]*\\)".*/\\1/p'"""
)
_HEAD = "made by supervisor/ctl/completion.py out of the table of commands"


def bash() -> str:
    """For /usr/share/bash-completion/completions/crechectl."""
    cases, values = [], []
    for command in COMMANDS:
        flags = _flags(command)
        kind = next((option.kind for option in command.options if option.flag[0] != "-"), "")
        cases.append(f"    {command.name}) flags='{' '.join(flags)}' kind='{kind}' ;;")
    seen = {}
    for option in (*GLOBAL, *(each for command in COMMANDS for each in command.options)):
        if option.value:
            names = "|".join(name for name in (option.short, option.flag) if name)
            seen[names] = option.kind
    for names, kind in seen.items():
        values.append(f"    {names}) kind='{kind}' value=yes ;;")
    return f"""# bash completion of crechectl; {_HEAD}
_crechectl() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}}
    local command='' flags='{" ".join(option.flag for option in GLOBAL)} --help --version'
    local kind='' value='' word
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        case $word in
        {"|".join(command.name for command in COMMANDS)}) command=$word; break ;;
        esac
    done
    case $command in
{chr(10).join(cases)}
    esac
    case $previous in
{chr(10).join(values)}
    esac
    COMPREPLY=()
    if [[ -z $value && $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$current")
        return
    fi
    if [[ -z $value && -z $command ]]; then
        mapfile -t COMPREPLY < <(compgen -W '{" ".join(c.name for c in COMMANDS)}' -- "$current")
        return
    fi
    case $kind in
    workload) mapfile -t COMPREPLY < <(compgen -W "$({_ASK})" -- "$current") ;;
    target) mapfile -t COMPREPLY < <(compgen -W '{" ".join(TARGETS)}' -- "$current") ;;
    signal) mapfile -t COMPREPLY < <(compgen -W '{" ".join(SIGNALS)}' -- "$current") ;;
    directory) mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
    file) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
    esac
}}
complete -F _crechectl crechectl
"""


def zsh() -> str:
    """For /usr/share/zsh/vendor-completions/_crechectl."""
    commands = "\n".join(f"    '{each.name}:{_quoted(each.meaning)}'" for each in COMMANDS)
    cases = "\n".join(
        f"    {command.name}) _arguments {' '.join(_zsh(each) for each in command.options)} ;;"
        for command in COMMANDS
    )
    return f"""#compdef crechectl
# zsh completion of crechectl; {_HEAD}
_crechectl_workloads() {{
  local -a names
  names=(${{(f)"$({_ASK})"}})
  compadd -a names
}}
_crechectl() {{
  local -a commands
  local context state line
  typeset -A opt_args
  commands=(
{commands}
  )
  _arguments -C {" ".join(_zsh(each) for each in GLOBAL)} '1: :->command' '*:: :->rest'
  case $state in
  command) _describe command commands ;;
  rest)
    case $words[1] in
{cases}
    esac
    ;;
  esac
}}
_crechectl "$@"
"""


def fish() -> str:
    """For /usr/share/fish/vendor_completions.d/crechectl.fish."""
    names = " ".join(command.name for command in COMMANDS)
    lines = [
        f"# fish completion of crechectl; {_HEAD}",
        "function __crechectl_workloads",
        f"    {_ASK}",
        "end",
        "complete -c crechectl -f",
    ]
    none = f"not __fish_seen_subcommand_from {names}"
    for option in GLOBAL:
        lines.append(_fish(option, none))
    for command in COMMANDS:
        meaning = _quoted(command.meaning, "\\'")
        lines.append(f"complete -c crechectl -n '{none}' -a {command.name} -d '{meaning}'")
        inside = f"__fish_seen_subcommand_from {command.name}"
        for option in command.options:
            if option.flag[0] == "-":
                lines.append(_fish(option, inside))
            elif option.kind == "workload":
                lines.append(f"complete -c crechectl -n '{inside}' -a '(__crechectl_workloads)'")
            elif option.kind == "directory":
                lines.append(
                    f"complete -c crechectl -n '{inside}' -a '(__fish_complete_directories)'"
                )
    return "\n".join(lines) + "\n"


FILES = {"crechectl.bash": bash, "_crechectl": zsh, "crechectl.fish": fish}


def _flags(command: Command) -> list[str]:
    found = ["--help"]
    for option in command.options:
        if option.flag[0] == "-":
            found += [name for name in (option.short, option.flag) if name]
    return found


_ZSH = {
    "workload": "_crechectl_workloads",
    "target": f"({' '.join(TARGETS)})",
    "signal": f"({' '.join(SIGNALS)})",
    "directory": "_files -/",
    "file": "_files",
    "number": " ",
    "": " ",
}


def _zsh(option: Option) -> str:
    action = _ZSH[option.kind]
    if option.flag[0] != "-":
        return f"'{'*' if option.many else '1'}:{option.flag}:{action}'"
    meaning = _quoted(option.meaning).replace("[", "\\[").replace("]", "\\]").replace(":", "\\:")
    value = f":{option.value}:{action}" if option.value else ""
    names = [name for name in (option.short, option.flag) if name]
    if len(names) == 1:
        return f"'{names[0]}[{meaning}]{value}'"
    return f"'({' '.join(names)})'{{{','.join(names)}}}'[{meaning}]{value}'"


def _fish(option: Option, when: str) -> str:
    words = f"complete -c crechectl -n '{when}' -l {option.flag[2:]}"
    if option.short:
        words += f" -s {option.short[1:]}"
    words += f" -d '{_quoted(option.meaning, chr(92) + chr(39))}'"
    if option.kind == "target":
        return words + f" -x -a '{' '.join(TARGETS)}'"
    if option.kind == "signal":
        return words + f" -x -a '{' '.join(SIGNALS)}'"
    if option.kind in ("directory", "file"):
        return words + " -r -F"
    return words + (" -x" if option.value else "")


def _quoted(text: str, quote: str = "'\\''") -> str:
    return text.replace("'", quote)


def main(arguments: list[str]) -> int:
    """Write them, or with `--check` exit with 1 if they are not what they should be."""
    stale = []
    for name, make in FILES.items():
        path = DIRECTORY / name
        if not path.exists() or path.read_text(encoding="utf-8") != make():
            stale.append(name)
            if "--check" not in arguments:
                DIRECTORY.mkdir(parents=True, exist_ok=True)
                path.write_text(make(), encoding="utf-8")
    for name in stale:
        print(f"etc/completions/{name} {'is out of date' if '--check' in arguments else 'written'}")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
