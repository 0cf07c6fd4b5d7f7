"""Errors of the command line's arguments as one sentence: the option, its value, what is allowed, the nearest name."""

import argparse
import re
from collections.abc import Iterable
from difflib import get_close_matches
from importlib import import_module
from typing import NoReturn

from spx.errors import ConfigError

CLASSES = {
    "model": ("spx.training",),
    "data": ("spx.data",),
    "trainer.callbacks": ("lightning.pytorch.callbacks", "spx.training.callbacks"),
    "trainer.logger": ("lightning.pytorch.loggers",),
    "trainer.profiler": ("lightning.pytorch.profilers",),
    "trainer.strategy": ("lightning.pytorch.strategies",),
}
"""Where the classes are that an option takes by their name."""

SHOWN = 300
"""Characters of a library's own words, at most."""


class CommandParser(argparse.ArgumentParser):
    """argparse's parser, whose errors are raised as one sentence in place of a page of usage."""

    def error(self, message: str) -> NoReturn:
        """Raise it.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f"{self.prog}: {explain_argument(message, option_names(self))}")


class OneLineErrors:
    """Before a parser of jsonargparse: the same for its errors."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise it.

        Raises:
            ConfigError: unless a parser further out asked for its own kind of error.
        """
        if not self.exit_on_error:
            super().error(message, ex)
        raise ConfigError(explain_argument(message, option_names(self))) from ex


def option_names(parser: argparse.ArgumentParser) -> list[str]:
    """Of the parser and its subcommands: `--trainer.max_epochs` and so on."""
    names: dict[str, None] = {}
    for action in parser._actions:
        names |= dict.fromkeys(action.option_strings)
        for below in (action.choices or {}).values() if isinstance(action.choices, dict) else ():
            names |= dict.fromkeys(option_names(below))
    return [name for name in names if name.startswith("--")]


def explain_argument(message: str, options: Iterable[str]) -> str:
    """One sentence for what jsonargparse says in many lines.

    Args:
        message: jsonargparse's.
        options: names of the options that there are.
    """
    if found := re.search(r"unrecognized arguments: (.+)", message):
        given = found[1].split()[0]
        name = given.partition("=")[0]
        if not name.startswith("-"):
            return f"'{given}' stands behind no option; --help lists them."
        return f"{name} is no option{nearest(name, options)}"
    if found := re.search(r"Subcommand '\w+' does not accept option '([^']+)'", message):
        return f"--{found[1]}, in a file given with --config, is no option{nearest('--' + found[1], options)}"
    if found := re.search(r"(Problems parsing config: |Unexpected config: )(.+)", message, re.S):
        return _ended(f"A file given with --config holds no settings in YAML: {' '.join(found[2].split())}"[:SHOWN])
    if found := re.search(r"(?:argument (--\S+): )?invalid choice: (\S+) \(choose from (.+)\)", message):
        choices = found[3].replace("'", "")
        return (
            f"{found[1]} is {found[2]}; it takes one of {choices}." if found[1] else f"{found[2]} is none of {choices}."
        )
    message = _first_problem(message)
    keys = re.findall(r'Parser key "([^"]+)"', message)
    place = ".".join(dict.fromkeys(keys))  # whose value the problem is with, as far as the parser says
    value = _given_value(message)
    if nested := re.search(r"NestedArg\(key='([^']+)', val=(?:'([^']*)'|\"([^\"]*)\"|(.*?))\)", message):
        value = next(filter(None, nested.groups()[1:]), "")
        if len(keys) < 2:
            keys.append(nested[1])
    outer, option = (keys[0] if keys else ""), "--" + ".".join(dict.fromkeys(keys))
    kind = re.findall(r"class_path '([^']+)'", message)
    if found := re.search(r"(?:Option|Key|Group key) '([^']+)' is not (?:accepted|expected)", message):
        before = re.findall(r"class_path '([^']+)'", message[: found.start()])
        return _unknown(found[1], place, before[-1] if before else "", options)
    if found := re.search(r"the following arguments are required: (.+)", message):
        if not kind:
            return f"{found[1].split(',')[0]} is needed, and missing; --help says what it is."
        named = _simple(kind[-1])
        wanted = ", ".join(f"--{place}.{name.strip()}" for name in found[1].split(","))
        return f"{named}, which --{place} names, needs {wanted}."
    if len(keys) > 1 and (found := re.search(r"does not correspond to a subclass of (\w+)", message)):
        return f"{option} is '{value}', which is no {found[1]}; name a class of that kind."
    missing = re.search(r"No module named '[^']+'|module '[^']+' has no attribute '[^']+'", message)
    if len(keys) > 1 and missing:
        return f"{option} is '{value}', which can't be imported: {missing[0]}."
    if "add_function_arguments()" in message:  # a mistake of jsonargparse's
        return "A function can't take the place of a class that a file names; write it into the file."
    if len(keys) > 1 and "dot import path string" in message:
        return f"{option} is '{value}'; it takes the import path of a class or function, such as package.module.name."
    for words in (r"Expected a dot import path string: (\S+)", r"module '[^']+' has no attribute '([^']+)'"):
        if found := re.search(words, message):
            return f"--{outer} names the class {found[1]}, which isn't known{nearest(found[1], class_names(outer))}"
    types = list(dict.fromkeys(map(_plain_type, re.findall(r"Expected a (.+?)(?:\. Got value: .*)?$", message, re.M))))
    if keys and types:
        return f"{option} is '{value}'; it takes {' or '.join(types)}."
    lines = [line.strip(" -") for line in message.splitlines() if line.strip(" -")]
    return _ended(re.sub(r'Parser key "([^"]+)":?', r"--\1:", " ".join(lines))[:SHOWN])


def class_names(option: str) -> list[str]:
    """Names of the classes that an option takes."""
    return [name for module in CLASSES.get(option, ()) for name in _exported(module)]


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a sentence: what was probably meant, or else all that there is."""
    known = list(dict.fromkeys(known))
    group = name.rpartition(".")[0]  # what all names begin with says nothing
    beside = {full.removeprefix(group): full for full in known if full.startswith(group)}
    if close := get_close_matches(name.removeprefix(group), beside, n=1, cutoff=0.6):
        return f"; did you mean {beside[close[0]]}?"
    if close := get_close_matches(name, known, n=1, cutoff=0.8):
        return f"; did you mean {close[0]}?"
    listed = ", ".join(known)
    return f". There are: {listed}." if known and len(listed) <= SHOWN else "; --help lists what there is."


def _unknown(name: str, outer: str, class_path: str, options: Iterable[str]) -> str:
    """An option, or a key of a file, that its class or group doesn't have."""
    if not class_path:
        full = name if not outer or name.startswith(outer) else f"{outer}.{name}"
        return f"--{full} is no option{nearest(f'--{full}', options)}"
    known = [f"--{outer}.{option}" for option in _class_options(class_path)]
    return f"--{outer}.{name} is no option of {_simple(class_path)}{nearest(f'--{outer}.{name}', known)}"


def _class_options(class_path: str) -> list[str]:
    """Names of a class's settings, those of its bases included."""
    module, _, name = class_path.rpartition(".")
    from jsonargparse import ArgumentParser  # brings much, and only an error needs it

    parser = ArgumentParser()
    parser.add_class_arguments(getattr(import_module(module), name), fail_untyped=False)
    return [action.dest for action in parser._actions if action.dest not in ("help", "config")]


def _exported(module: str) -> list[str]:
    found = import_module(module)
    names = getattr(found, "__all__", None) or [
        name for name, value in vars(found).items() if getattr(value, "__module__", None) == module
    ]
    return [name for name in names if name[:1].isupper()]


def _first_problem(message: str) -> str:
    """The message with the first of the problems that jsonargparse met, one for each form that a value may have."""
    head, *forms = re.split(r"\n    - ", message)
    if not (problems := [form for form in forms if form.startswith("Problem with")]):
        return message
    given = re.search(r"\n  Given value.*", forms[-1], re.S)
    return "\n".join((head, problems[0], given[0] if given else ""))


def _given_value(message: str) -> str:
    for words in ("Got value", "Given value"):
        if found := re.search(rf"{words}: (.*)", message):
            return found[1].strip()[:SHOWN]
    return ""


def _plain_type(words: str) -> str:
    if found := re.search(r"Literal\[(.+)\]", words):
        return "one of " + found[1].replace("'", "")
    if found := re.fullmatch(r"<class '([^']+)'>", words):
        return {"NoneType": "null"}.get(found[1], found[1].rpartition(".")[2])
    return words


def _simple(class_path: str) -> str:
    return class_path.rpartition(".")[2]


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", "?", "!")) else f"{sentence}."
