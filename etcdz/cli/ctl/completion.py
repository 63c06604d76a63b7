"""completion: what a shell is to complete, as a script for it, made from the tree of commands."""

from collections.abc import Iterator
from typing import Final

from etcdz.cli.command_tree import Command, Flag, Values
from etcdz.cli.ctl.session import say

_PROGRAM: Final = "etcdzctl"
_BASH: Final = """\
_{program}() {{
    local path="" word words="" at
    for ((at = 1; at < COMP_CWORD; at++)); do
        word="${{COMP_WORDS[at]}}"
        case "$path $word" in
            {paths}) path="$path $word" ;;
        esac
    done
    case "$path" in
{cases}
    esac
    COMPREPLY=($(compgen -W "$words {flags}" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o default -F _{program} {program}
"""
_POWERSHELL: Final = """\
Register-ArgumentCompleter -Native -CommandName {program} -ScriptBlock {{
  param($word, $line, $position)
  $known = @{{
{rows}
  }}
  $path = ''
  foreach ($element in $line.CommandElements | Select-Object -Skip 1) {{
    $next = "$path $element".Trim()
    if ($known.ContainsKey($next)) {{ $path = $next }}
  }}
  ("$($known[$path]) {flags}" -split ' ') | Where-Object {{ $_ -like "$word*" }} | ForEach-Object {{
    [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_)
  }}
}}
"""


def _shown(command: Command) -> list[Command]:
    return [child for child in command.children if not child.is_hidden]


def _paths(command: Command, path: str = "") -> Iterator[tuple[str, Command]]:
    """(" member add", the command) of all commands below this one"""
    for child in _shown(command):
        yield f"{path} {child.name}", child
        yield from _paths(child, f"{path} {child.name}")


def _flags(flags: tuple[Flag, ...]) -> str:
    return " ".join(f"--{flag.name}" for flag in flags)


def bash(arguments: list[str], values: Values) -> int:
    say(_bash().encode())
    return 0


def zsh(arguments: list[str], values: Values) -> int:
    """By zsh's own way to read bash's."""
    say(f"#compdef {_PROGRAM}\nautoload -U +X bashcompinit && bashcompinit\n{_bash()}".encode())
    return 0


def _bash() -> str:
    from etcdz.cli.ctl.tree import ROOT

    found = [("", ROOT), *_paths(ROOT)]
    cases = [
        f'        "{path}") words="{" ".join(child.name for child in _shown(command))}'
        f'{" " if command.flags and _shown(command) else ""}{_flags(command.flags) if path else ""}" ;;'
        for path, command in found
        if _shown(command) or command.flags
    ]
    paths = " | ".join(f'"{path}"' for path, _ in found[1:])
    return _BASH.format(program=_PROGRAM, paths=paths, cases="\n".join(cases), flags=_flags(ROOT.flags))


def powershell(arguments: list[str], values: Values) -> int:
    from etcdz.cli.ctl.tree import ROOT

    found = [("", ROOT), *_paths(ROOT)]
    rows = [
        f"    {_in_powershell(path.strip())} = {_in_powershell(words)}"
        for path, command in found
        if (words := " ".join([child.name for child in _shown(command)] + [f"--{flag.name}" for flag in command.flags]))
    ]
    say(_POWERSHELL.format(program=_PROGRAM, rows="\n".join(rows), flags=_flags(ROOT.flags)).encode())
    return 0


def _in_powershell(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def fish(arguments: list[str], values: Values) -> int:
    from etcdz.cli.ctl.tree import ROOT

    lines = [f"complete -c {_PROGRAM} -l {flag.name} -d {_quoted(flag.help)}" for flag in ROOT.flags]
    for path, command in _paths(ROOT):
        parent, _, name = path.strip().rpartition(" ")
        where = f"__fish_seen_subcommand_from {parent}" if parent else "__fish_use_subcommand"
        lines.append(f"complete -c {_PROGRAM} -f -n {_quoted(where)} -a {name} -d {_quoted(command.short)}")
        lines += [
            f"complete -c {_PROGRAM} -n {_quoted(f'__fish_seen_subcommand_from {name}')} "
            f"-l {flag.name} -d {_quoted(flag.help)}"
            for flag in command.flags
        ]
    say("".join(f"{line}\n" for line in lines).encode())
    return 0


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
