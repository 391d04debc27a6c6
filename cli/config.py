"""Options as the user gave them: on the command line, and in a TOML file beneath it."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field

from simcore.api import EXCLUSIVE
from simcore.errors import InputError

from .errors import CommandError, shorten
from .files import expanded

SPELLED = {"layer_widths": "widths"}
"""Parameters whose option has another name."""

NOT_IN_FILE = {"config", "version"}


@dataclass(frozen=True)
class Given:
    """Options as they were typed, by parameter name (``sigma_w``).

    Parameters
    ----------
    texts
        Options with a value.
    flags
        Flags that are on.
    source
        Name of the TOML file, for messages.
    from_file
        Names of the options that came from it.
    """

    texts: dict[str, str]
    flags: frozenset[str] = frozenset()
    source: str = ""
    from_file: frozenset[str] = field(default=frozenset())

    @classmethod
    def typed(cls, parameters: Mapping[str, str | bool | None]) -> Given:
        """Keep what was given of all the parameters of a command."""
        texts = {name: value for name, value in parameters.items() if isinstance(value, str)}
        flags = frozenset(name for name, value in parameters.items() if value is True)
        return cls(texts, flags)


def option_name(name: str) -> str:
    """Return a parameter's name as an option: sigma_w is --sigma-w."""
    return f"--{SPELLED.get(name, name).replace('_', '-')}"


def named(error: InputError, given: Given, known: Container[str]) -> CommandError:
    """Return an error in the words of the command line: the options and the value as typed.

    `known` are the options of the command; an error about anything else keeps its own field.
    """
    name, told = SPELLED.get(error.field, error.field), error.worded(option_name)
    if name in ("file", "files"):
        return CommandError(f"{error.value}: {told}", error.exit_code)
    if name not in known:
        return CommandError(f"{name} = {error.value}: {told}", error.exit_code)
    value = error.value if isinstance(error.value, str) else _plain(error.value)
    typed = given.texts.get(name)
    if typed is not None and not any(mark in typed for mark in ",:"):
        value = typed
    if error.rule == "is missing" or name in given.flags:
        value = ""
    where = f" (in {given.source})" if name in given.from_file else ""
    subject = shorten(f"{option_name(name)} {value}".strip())
    return CommandError(f"{subject}{where}: {told}", error.exit_code)


def _plain(value: object) -> str:
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def with_config(given: Given, known: Mapping[str, object]) -> Given:
    """Put the options of the --config file, if there is one, beneath those that were typed.

    Parameters
    ----------
    known
        Every parameter of the command; a flag's value is a bool.

    Raises
    ------
    InputError
        If the file can't be read, or holds something that is no option.
    """
    source = given.texts.get("config")
    if source is None:
        return given
    texts: dict[str, str] = {}
    flags: set[str] = set()
    for key, value in _read(source).items():
        name = key.replace("-", "_")
        if name not in known or name in NOT_IN_FILE:
            raise _unknown(key, source, known)
        if name in texts or name in flags:
            raise InputError("config", source, f"names {key} twice", "Keep one of them.")
        if isinstance(known[name], bool):
            if not isinstance(value, bool):
                raise InputError("config", source, f"{key} must be true or false", "Change it.")
            flags |= {name} if value else set()
        else:
            texts[name] = _text(key, value, source)
    # One of two options that exclude each other, if typed, puts aside the other in the file.
    typed = given.texts.keys() | given.flags
    for pair in EXCLUSIVE:
        names = {SPELLED.get(name, name) for name in pair}
        if names & typed:
            texts = {name: text for name, text in texts.items() if name not in names}
            flags -= names
    below = texts.keys() - given.texts.keys()
    return Given(texts | given.texts, given.flags | flags, source, frozenset(below))


def _read(source: str) -> dict[str, object]:
    import tomllib

    try:
        if expanded(source).exists() and not expanded(source).is_file():
            folder = expanded(source).is_dir()
            rule = f"is a {'folder' if folder else 'pipe or a device'}"
            raise InputError("config", source, rule, "Name a TOML file.")
        return tomllib.loads(expanded(source).read_text(encoding="utf-8-sig"))
    except OSError as error:
        rule = f"can't be read ({error.strerror})"
        raise InputError("config", source, rule, "Name a TOML file.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        remedy = 'Write lines such as: sigma-w = "1.2:1.6:9".'
        raise InputError("config", source, f"is not valid TOML: {error}", remedy) from error


def _unknown(key: str, source: str, known: Mapping[str, object]) -> InputError:
    import difflib

    options = [name.replace("_", "-") for name in known if name not in NOT_IN_FILE]
    close = difflib.get_close_matches(key, options, n=1)
    remedy = f"Did you mean {close[0]}?" if close else "See simulate --help for the options."
    return InputError("config", source, f"has the unknown key {key}", remedy)


def _text(key: str, value: object, source: str) -> str:
    """Return a TOML value as it would be typed."""
    if isinstance(value, list) and value:
        return ",".join(_text(key, item, source) for item in value)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        rule = f"{key} must be a number, a text or a list of them"
        raise InputError("config", source, rule, "Write it as on the command line.")
    return str(value)
