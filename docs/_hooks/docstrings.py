"""Griffe extension: the docstrings' reStructuredText habits as Markdown.

Literal blocks after ``::``, ``.. code-block::``, tables ruled with ``=``, items of several names,
and names in `single backticks`, which become links where the reference has them. Enumerations
tell their members.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import griffe

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAMES = re.compile(r"^(\*{0,2}\w+(?:, \*{0,2}\w+)+)( : .*)?\n((?: {4}.*\n?)+)", re.MULTILINE)
_NAME = re.compile(r"(?<![`\w])`([A-Za-z_][\w.]*)`(?!`)")


class Docstrings(griffe.Extension):
    """Rewrites every docstring of a package once it is read."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Rewrite them all."""
        public = _public_names(pkg)
        for thing in _things(pkg):
            if thing.docstring is not None:
                text = _markdown(thing.docstring.value, thing, public)
                thing.docstring.value = text + _members(thing)


def _things(parent: Any) -> Iterator[Any]:
    yield parent
    for member in parent.members.values():
        if not member.is_alias:
            yield from _things(member)


def _public_names(package: griffe.Module) -> dict[str, str]:
    """Map what modules export, by last name, to the path it is exported at; none that is shared."""
    paths: dict[str, set[str]] = {}
    for module in _things(package):
        if module.is_module:
            for name in module.exports or ():
                paths.setdefault(str(name), set()).add(f"{module.path}.{name}")
    return {name: found.pop() for name, found in paths.items() if len(found) == 1}


def _markdown(text: str, thing: Any, public: dict[str, str]) -> str:
    text = re.sub(r"^\.\. code-block:: \w+$\n*", "", text, flags=re.MULTILINE)
    text = re.sub(r"::$(?=\n\n {4})", ":", text, flags=re.MULTILINE)
    text = re.sub(r"^(=+ +=+)\n(.*?)^\1$", _table, text, flags=re.MULTILINE | re.DOTALL)
    text = _NAMES.sub(_apart, text)
    own = {parameter.name for parameter in getattr(thing, "parameters", ())}

    def link(match: re.Match[str]) -> str:
        name = match[1]
        path = public.get(name, name)
        if name in own or not path.startswith("fgrpo."):
            return match[0]
        return f'<autoref identifier="{path}" optional><code>{name}</code></autoref>'

    return _NAME.sub(link, text)


def _members(thing: Any) -> str:
    """Name what an enumeration has: its members have no docstrings, so no place of their own."""
    if not thing.is_class or not any("Enum" in str(base) for base in thing.bases):
        return ""
    names = (f"``{name} = {one.value}``" for name, one in thing.attributes.items())
    return f"\n\nMembers: {', '.join(names)}."


def _apart(match: re.Match[str]) -> str:
    """Give each of the names an item of its own: griffe gives all the first one's default."""
    names, kind, words = match.groups("")
    return "\n".join(f"{name}{kind}\n{words.rstrip()}" for name in names.split(", ")) + "\n"


def _table(match: re.Match[str]) -> str:
    """Write a table of two columns in Markdown; a line without a first cell goes on."""
    start = match[1].rindex(" ") + 1
    rows: list[list[str]] = []
    for line in match[2].splitlines():
        first, second = line[:start].strip(), line[start:].strip()
        if first:
            rows.append([first, second])
        else:
            rows[-1][1] += f" {second}"
    return "\n".join(["| | |", "|---|---|", *(f"| {' | '.join(row)} |" for row in rows)])
