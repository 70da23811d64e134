r"""Mathematical answers, judged by math-verify.

The answer is what the last ``\boxed{…}`` of the text holds; several boxes joined by commas or
"and" are one answer. A text without a box is judged by what math-verify finds in its last
thousand characters, unless the reference says ``boxed_only``.

A reference is the right answer as LaTeX or plain text (``42``, ``$42$``, ``\boxed{42}``,
``\frac{1}{2}``, ``\{1, 2\}``, ``[0, 1)``, ``10 \text{ cm}``), or a list of right answers of which
one must be met, or ``{"answer": either, "boxed_only": true}``.

Where this differs from ``math_verify.verify(parse(gold), parse(text))``, on purpose:

- The whole box must be understood. math-verify, where it cannot parse a box, looks for a number
  or a fraction inside it: 200 nested fractions become ½, ``\boxed{x: 5 # 7}`` becomes 7.
- A right answer that cannot be parsed makes every answer unverifiable, none wrong. So does an
  answer that exhausts memory or the recursion limit, where math-verify says "wrong".
- A bare right answer is read as LaTeX throughout; math-verify finds only numbers and simple
  fractions outside of dollar signs.
- Tiny numbers are compared by their ratio: math-verify takes 1e-9 for 3e-8, as both round to 0.
- Fullwidth characters and signs of Unicode (−, ×, π, √, ≤ …) mean what they look like; invisible
  characters are left out. ``**`` is a power, ``1e-3`` also the number, ``10\,000`` and ``10 000``
  ten thousand, ``2 1/2`` five halves, ``0.\overline{3}`` a third, ``\varnothing`` the empty set.
  ``i`` is also the imaginary unit. A sign of equality in front is left out.
- Numbers side by side are no answer; math-verify multiplies ``1 2 3``.
- ``x > 3`` also meets ``(3, \infty)``; math-verify accepts the reverse only.

Kept from math-verify: 9% equals both 9 and 0.09; a unit at the end is ignored, and so are the base
in ``52_8`` and the degrees in ``\cos 60^\circ``; ``x = 5`` equals 5, and of several sides the last
counts; capital and small letters are the same variable; letters side by side are a product, so
``east`` equals ``seat`` (write ``\text{east}``); ``(3, 4)`` equals ``\{3, 4\}``, and repetitions
in a list do not count; numbers with a decimal point are compared after rounding to six places.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from fgrpo.errors import UsageError, to_install
from fgrpo.verify.answers import split_reference
from fgrpo.verify.boxed import last_boxed
from fgrpo.verify.numerals import plain
from fgrpo.verify.verdict import UnverifiableError

TAIL = 1000
"""Characters at the end of a text without a box that are searched for its answer."""

_TINY = 1e-3  # below this, rounding to six places leaves fewer than three digits
_TOLERANCE = 1e-3  # relative, for numbers below _TINY
_NOISE = 1e-12  # a number smaller than this is zero
_LONGEST_WORDS = 100  # characters
_INTEGER = re.compile(r"[+-]?[0-9]{1,1000}")
_SCIENTIFIC = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))[eE]([+-]?[0-9]{1,4})")
_SIDE_BY_SIDE = re.compile(r"[+-]?[0-9.]+(?:\s+[0-9.]+)+")
_IN_FRONT = re.compile(r"\A(?:(?:=|\\approx(?![A-Za-z])|\\sim(?:eq)?(?![A-Za-z]))\s*)+")
_TORN = re.compile(r"\A[\w.,]+", re.ASCII)
_DELIMITERS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"))
_WORDS = re.compile(r"(?:\\(?:text|textbf|textit|mathrm|mathbf)\s*\{)?\s*\(?([A-Za-z ]+)\)?\s*\}?")
_SIGNS = str.maketrans(
    {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
    | dict.fromkeys(map(chr, (*range(0x200B, 0x2010), *range(0x202A, 0x202F))))
    | dict.fromkeys(map(chr, (*range(0x2060, 0x2070), 0xFEFF)))
    | {"−": "-", "×": r"\times ", "÷": r"\div ", "·": r"\cdot ", "√": r"\sqrt ", "π": r"\pi "}
    | {"∞": r"\infty ", "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "±": r"\pm ", "∪": r"\cup "}
    | {"∩": r"\cap ", "°": r"^\circ ", "²": "^{2}", "³": "^{3}", "\u3000": " ", "\xa0": " "}
)


@dataclass(frozen=True, slots=True)
class _Latex:
    """An answer as text: cleaned and normalised by math-verify's rules, and its words if any."""

    source: str
    normal: str
    words: str


def verify(text: str, reference: Any) -> bool:
    r"""Judge the answer of a text.

    Parameters
    ----------
    text
        What the model wrote.
    reference
        The right answer, several, or a dictionary; see the module.

    Returns
    -------
    bool
        Whether the answer equals the right one, or one of them. No answer is wrong.

    Raises
    ------
    UnverifiableError
        ``gold: …`` if a right answer cannot be parsed, ``reference: …`` if the reference has
        another form, ``recursion: …`` if the answer is nested too deeply to be parsed.
    """
    answers, boxed_only = _read(reference)
    golds = [_gold(answer) for answer in answers]
    boxed = last_boxed(text, join=True)
    if boxed is None and boxed_only:
        return False
    try:
        if boxed is None:
            found = _search(text)
            return any(_equal(expressions, found) for _, expressions in golds)
        answer = _latex(boxed)
        return any(_matches(gold, expressions, answer) for gold, expressions in golds)
    except RecursionError as error:
        raise UnverifiableError("recursion: the answer is nested too deeply") from error


def warm() -> None:
    """Judge a few answers of each kind, so that the parser's tables are built."""
    for gold in _KINDS:
        expressions = _gold(gold)[1]
        _equal(expressions, expressions)
        _matches(*_gold("x - 1"), _latex(gold))
    _search("so the answer is 3/4")


_KINDS = (
    *(r"\frac{1}{2}", "0.25", "-3", "1{,}000", r"50\%", r"2\sqrt{3}+1", r"\frac{\sqrt{2}}{2}"),
    *(r"x^2+2x+1", r"(x-1)(x+1)", r"\left(3, \frac{\pi}{2}\right)", "(1,2)", "[0, 1)", "1, 2, 3"),
    *(r"\{1,2\}", r"(-\infty, 2) \cup (3, \infty)", "x = 5", r"x \le 3", r"\sin x", r"\log_2 3"),
    *("3+4i", r"\text{Monday}", r"90^\circ", r"5 \text{ cm}", r"3 \times 10^{-8}", "2^{10}", "5!"),
    *(r"\binom{5}{2}", r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}", r"\infty", r"e^{2}"),
)


def _read(reference: Any) -> tuple[list[str], bool]:
    """Return the right answers, and whether only a box counts."""
    answers, boxed_only = split_reference(reference, "boxed_only")
    if isinstance(answers, bool) or not isinstance(answers, str | int | float | list):
        raise UnverifiableError(f"reference: {answers!r:.80} is not an answer: pass a string")
    several = answers if isinstance(answers, list) else [answers]
    if not several:
        raise UnverifiableError("reference: an empty list of answers")
    return [str(one) for one in several], boxed_only


@lru_cache(maxsize=65_536)
def _gold(answer: str) -> tuple[_Latex, list[Any]]:
    """Read a right answer: as text, and as SymPy expressions."""
    boxed = last_boxed(answer, join=True)
    latex = _latex(answer if boxed is None else boxed)
    if not latex.normal:
        raise UnverifiableError("gold: the right answer is empty")
    expressions = _readings(latex)
    if not expressions:
        raise UnverifiableError(f"gold: {answer!r:.80} is not understood")
    return latex, expressions


def _latex(source: str) -> _Latex:
    """Clean an answer: delimiters, signs of Unicode, separators of thousands, powers."""
    from math_verify.parser import normalize_latex

    text = source.translate(_SIGNS).strip()
    for start, end in _DELIMITERS:
        if text.startswith(start) and text.endswith(end) and len(text) > len(start + end):
            text = text[len(start) : -len(end)].strip()
            break
    text = plain(_IN_FRONT.sub("", text.rstrip(".").strip())).replace("**", "^")
    text = text.replace(r"\varnothing", r"\emptyset")
    words = _WORDS.fullmatch(text) if len(text) < _LONGEST_WORDS else None
    return _Latex(
        text,
        normalize_latex(text, _extraction().normalization_config),
        "".join(words[1].split()).casefold() if words else "",
    )


def _readings(latex: _Latex) -> list[Any]:
    """Parse an answer. ``3e-8`` has two readings, the number 3·10⁻⁸ and 3e − 8; ``i`` too."""
    if _SIDE_BY_SIDE.fullmatch(latex.source):
        return []
    texts = [latex.normal]
    if scientific := _SCIENTIFIC.fullmatch(latex.source):
        texts.append(rf"{scientific[1]} \times 10^{{{scientific[2]}}}")
    found = [expression for text in texts if (expression := _parse(text)) is not None]
    return found + [other for one in found if (other := _with_imaginary_unit(one)) is not None]


def _with_imaginary_unit(expression: Any) -> Any:
    """Take the variable i for the imaginary unit; None if there is none."""
    from sympy import I

    named = [symbol for symbol in getattr(expression, "free_symbols", ()) if symbol.name == "i"]
    return expression.subs(named[0], I) if named else None


def _parse(normal: str) -> Any:
    """Parse normalised LaTeX; None if it is none."""
    from math_verify.parser import parse_latex_cached

    try:
        return parse_latex_cached(normal)
    except (MemoryError, RecursionError):
        raise
    except Exception:  # the parser raises plain Exception at a syntax error
        return None


def _search(text: str) -> list[Any]:
    """Return what math-verify finds at the end of a text without a box."""
    from math_verify import ExprExtractionConfig, parse

    tail = text[-TAIL:]
    if len(text) > TAIL:  # never from the middle of a number
        tail = _TORN.sub("", tail, count=1)
    found: list[Any] = parse(
        tail.translate(_SIGNS),
        [_extraction(), ExprExtractionConfig()],
        fallback_mode="no_fallback",
        parsing_timeout=None,
    )
    return found


def _matches(gold: _Latex, expressions: list[Any], answer: _Latex) -> bool:
    if _INTEGER.fullmatch(gold.normal) and _INTEGER.fullmatch(answer.normal):
        return int(gold.normal) == int(answer.normal)
    if gold.normal == answer.normal or (gold.words and gold.words == answer.words):
        return True
    return _equal(expressions, _readings(answer))


def _equal(golds: list[Any], answers: list[Any]) -> bool:
    return any(_same(gold, answer) for gold in golds for answer in answers)


def _same(gold: Any, answer: Any) -> bool:
    from math_verify import verify as compare

    try:
        if not compare(
            gold, answer, timeout_seconds=None, raise_on_error=True, allow_set_relation_comp=True
        ):
            return False
        return not _differ_by_ratio(gold, answer)
    except (MemoryError, RecursionError):
        raise
    except Exception:  # what SymPy cannot compare is not equal
        return False


def _differ_by_ratio(gold: Any, answer: Any) -> bool:
    """Whether two numbers that agree to six places are tiny and differ all the same."""
    if not (getattr(gold, "is_number", False) and getattr(answer, "is_number", False)):
        return False
    right, given = (complex(one.doit()) for one in (gold, answer))
    if abs(right) >= _TINY:
        return False
    return abs(given - right) > max(_TOLERANCE * abs(right), _NOISE if right == 0 else 0)


@lru_cache(maxsize=1)
def _extraction() -> Any:
    """Load math-verify, quietly: it warns that the time limit is left to the caller."""
    try:
        import math_verify
    except ImportError as error:
        raise UsageError(f"the verifier maths needs math-verify: {to_install('verify')}") from error
    logging.getLogger("math_verify").setLevel(logging.ERROR)
    _complete_old_parser()
    return math_verify.LatexExtractionConfig(boxed_match_priority=-1)


def _complete_old_parser() -> None:
    """Let percentages be parsed with ANTLR 4.9, which Hydra, and so verl, holds to.

    latex2sympy2_extended asks an atom for FUNC_GAMMA before it asks for a percentage; its parser
    for that ANTLR does not know the question.
    """
    from latex2sympy2_extended.antlr_parser import PSParser

    if not hasattr(PSParser.AtomContext, "FUNC_GAMMA"):
        PSParser.AtomContext.FUNC_GAMMA = lambda self: None
