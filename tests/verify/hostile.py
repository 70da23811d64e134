r"""Answers that try to hang, exhaust, crash, escape or fool a verifier.

Most are made from a pattern and a few sizes; each has a name of its own, so that a failing test
says which it was. Payloads that would leave a trace leave it in the folder they are given, or in
the current folder, or at home.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import hostile_maths as maths
import hostile_texts as texts

if TYPE_CHECKING:
    from collections.abc import Iterator


class Hostile(NamedTuple):
    name: str
    text: str


def corpus(canaries: str) -> list[Hostile]:
    """All hostile answers; `canaries` is the folder that payloads try to write to."""
    answers = [
        *_named("tower", maths.towers()),
        *_named("nested", maths.nested()),
        *_named("huge", maths.huge()),
        *_named("long", texts.long()),
        *_named("boxes", texts.boxes()),
        *_named("lookalike", texts.lookalikes()),
        *_named("control", texts.control()),
        *_named("code", texts.code(canaries)),
        *_named("tex", maths.tex(canaries)),
        *_named("symbolic", maths.symbolic()),
        *_named("units", maths.units()),
        *_named("markup", texts.markup()),
        *_named("json", texts.json()),
    ]
    names = [answer.name for answer in answers]
    assert len(set(names)) == len(names), "two hostile answers have the same name"
    assert len({answer.text for answer in answers}) == len(answers), "two are the same"
    return answers


def _named(family: str, answers: Iterator[tuple[str, str]]) -> Iterator[Hostile]:
    for name, text in answers:
        yield Hostile(f"{family}: {name}", text)
