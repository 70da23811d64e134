"""Hostile formulas: towers, nested, huge, symbolic, of units, of TeX's commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hostile_forms import boxed, nest

if TYPE_CHECKING:
    from collections.abc import Iterator


def towers() -> Iterator[tuple[str, str]]:
    for base, depth in [(2, 5), (2, 8), (3, 4), (7, 3), (9, 3), (9, 4), (9, 5), (9, 40)]:
        yield f"{base} to the {base}, {depth} high", boxed(nest(f"{base}^{{@}}", depth, str(base)))
    yield "negative", boxed("(-9)^{9^{9^{9}}}")
    yield "with a root", boxed(r"\sqrt{9^{9^{9}}}")
    yield "of fractions", boxed(r"\left(\frac{9}{7}\right)^{9^{9^{9}}}")
    yield "in a denominator", boxed(r"\frac{1}{9^{9^{9}}}")
    yield "modulo", boxed(r"9^{9^{9^{9}}} \bmod 10")
    yield "of decimals", boxed("9.9^{9.9^{9.9^{9.9}}}")
    yield "with carets only", boxed("9^9^9^9")
    yield "with stars", boxed("9**9**9**9")
    yield "plain text with stars", "The answer is 9**9**9**9"
    yield "plain text with carets", "The answer is 9^9^9^9"
    yield "plain text in parentheses", "answer: (9^(9^(9^9)))"
    yield "in an equation", boxed("x = 9^{9^{9^{9}}}")
    yield "in a set", boxed(r"\{9^{9^{9}}, 8^{8^{8^{8}}}\}")
    yield "in an interval", boxed("[0, 9^{9^{9^{9}}}]")
    yield "percent", boxed(r"9^{9^{9^{9}}}\%")
    yield "equal to itself", boxed("9^{9^{9^{9}}} = 9^{9^{9^{9}}}")
    yield "difference", boxed("9^{9^{9^{9}}} - 9^{9^{9^{9}}} + 42")


def nested() -> Iterator[tuple[str, str]]:
    patterns = {
        "fractions": r"\frac{1}{@}",
        "numerators": r"\frac{@}{2}",
        "roots": r"\sqrt{@}",
        "parentheses": "(@)",
        "brackets": "[@]",
        "braces": "{@}",
        "escaped braces": r"\{@\}",
        "left right": r"\left(@\right)",
        "bars": "|@|",
        "left bars": r"\left|@\right|",
        "floors": r"\lfloor @ \rfloor",
        "exponents": "x^{@}",
        "indices": "x_{@}",
        "sines": r"\sin(@)",
        "text": r"\text{@}",
        "overlines": r"\overline{@}",
        "minuses": "-(@)",
        "sums": "1+(@)",
        "functions": "f(@)",
        "factorials": "(@)!",
        "binomials": r"\binom{@}{2}",
    }
    for name, pattern in patterns.items():
        for depth in (20, 200) if name in ("fractions", "parentheses", "braces") else (200,):
            yield f"{depth} {name}", boxed(nest(pattern, depth, "2"))
    for name in ("fractions", "parentheses", "braces", "roots", "left right", "text"):
        yield f"3,000 {name}", boxed(nest(patterns[name], 3000, "2"))
    for opening in ("(", "[", "{", r"\{", r"\left(", r"\frac{", r"\sqrt{", r"\text{", "x^{"):
        yield f"2,000 {opening} never closed", boxed(opening * 2000)
        yield f"2,000 {opening} without a box", "The answer is $" + opening * 2000
    for closing in (")", "]", "}", r"\}", r"\right)"):
        yield f"2,000 {closing} never opened", boxed(closing * 2000)
    yield "brackets mixed", boxed("([{" * 500 + "1" + "}])" * 500)
    yield "brackets crossed", boxed("([)]" * 500)
    yield (
        "environments",
        boxed(
            nest(r"\begin{pmatrix}@\end{pmatrix}", 50, "1"),
        ),
    )


def huge() -> Iterator[tuple[str, str]]:
    for digits in (300, 4299, 4301, 50_000):
        yield f"integer of {digits} digits", boxed("7" * digits)
        yield f"decimal of {digits} digits", boxed("0." + "3" * digits)
    yield "integer of zeros", boxed("0" * 50_000)
    yield "integer with separators", boxed("1" + ",000" * 5000)
    yield "plain integer of 50,000 digits", "The answer is " + "9" * 50_000
    yield "fraction of integers", boxed(rf"\frac{{{'1' * 4000}}}{{{'3' * 4000}}}")
    yield "exponent of 4,000 digits", boxed("2^{" + "9" * 4000 + "}")
    yield "negative exponent", boxed("2^{-" + "9" * 50 + "}")
    for number in ("10^{8}", "10^{12}", "999999999", "(10^9)!"):
        yield f"factorial of {number}", boxed(f"{{{number}}}!" if "(" not in number else number)
    yield "factorial of a factorial", boxed("((9!)!)!")
    yield "forty factorials", boxed("9" + "!" * 40)
    yield "binomial", boxed(r"\binom{10^{10}}{10^{9}}")
    yield "scientific", boxed("1e999999999")
    yield "scientific with a fraction", boxed("1.5E-999999999")
    yield "scientific in plain text", "The answer is 1e999999999"
    for power in (20, 200, 2000):
        yield f"(x+y+z+1) to the {power}", boxed(f"(x+y+z+1)^{{{power}}}")
    yield "(x+1) to the million", boxed("(x+1)^{1000000}")
    yield "product of powers", boxed("(a+b+c+d+e+f)^{30}(a-b+c-d+e-f)^{30}")
    yield "root of a large number", boxed(r"\sqrt[7]{" + "123456789" * 30 + "}")
    yield "semiprime under a root", boxed(r"\sqrt{" + str((2**127 - 1) * (2**107 - 1)) + "}")
    yield "large prime power", boxed(f"{2**521 - 1}^{{{2**61 - 1}}}")
    yield "division by zero", boxed(r"\frac{1}{0}")
    yield "zero by zero", boxed(r"\frac{0}{0}")
    yield "zero to a negative power", boxed("0^{-1}")
    yield "logarithm of zero", boxed(r"\log 0")
    yield "infinity minus infinity", boxed(r"\infty - \infty")
    yield "nan", boxed("nan")
    yield "inf", boxed("inf")


def symbolic() -> Iterator[tuple[str, str]]:
    formulas = {
        "infinite sum": r"\sum_{n=1}^{\infty} \frac{\sin(n^n)}{n^2}",
        "long sum": r"\sum_{n=1}^{10^{9}} \frac{1}{n!}",
        "product": r"\prod_{n=1}^{10^{8}} (n^2 + 1)",
        "product of unknowns": r"\prod_{n=1}^{500} (x^n + n)",
        "integral": r"\int_0^1 x^x \sin(x^{x^x}) \, dx",
        "integrals": r"\int\int\int e^{\sin(xyz)} \, dx \, dy \, dz",
        "integral of a tower": r"\int e^{e^{e^{x}}} \, dx",
        "derivative": r"\frac{d}{dx} " + nest(r"\sin(@)", 40, "x"),
        "limit": r"\lim_{x \to 0} \frac{\sin(\tan x) - \tan(\sin x)}{x^7}",
        "limit without end": r"\lim_{n \to \infty} \sin(n!)",
        "zeta": r"\zeta(\zeta(\zeta(3)))",
        "trigonometry": "+".join(rf"\sin({n}x)^{n}\cos({n}y)^{n}" for n in range(1, 30)),
        "nested radicals": nest(r"\sqrt{2+@}", 30, "2"),
        "roots of unity": "+".join(rf"e^{{2\pi i {n}/97}}" for n in range(97)),
        "algebraic number": "+".join(rf"\sqrt[{n}]{{{n}}}" for n in range(2, 14)),
        "inverse": r"\begin{pmatrix}a&b&c\\d&e&f\\g&h&i\end{pmatrix}^{-1}",
        "power of a matrix": r"\begin{pmatrix}a&b\\c&d\end{pmatrix}^{10000}",
        "matrix to a huge power": r"\begin{pmatrix}1&1\\1&0\end{pmatrix}^{10^{9}}",
        "equation of degree 60": "x^{60} + 3x^{41} - 7x^{13} + x = 5",
        "system": "x^7+y^7=1, x^5y^3=2, xy+z^9=3",
        "inequality": "x^{17} - 4x^{11} + 2x > 3",
        "chain": " < ".join(f"x_{{{n}}}" for n in range(100)),
        "union": r" \cup ".join(f"({n},{n + 1})" for n in range(200)),
        "complement": r"\mathbb{R} \setminus \{" + ",".join(map(str, range(300))) + r"\}",
        "set of sets": nest(r"\{@, 1\}", 30, "0"),
        "tuple of surds": "(" + ",".join(rf"\sqrt{{{n}}}" for n in range(200)) + ")",
        "polynomial of 500 terms": "+".join(f"{n}x^{{{n}}}" for n in range(500)),
        "product of factors": "".join(f"(x-{n})" for n in range(100)),
        "fraction of polynomials": r"\frac{(x+1)^{300} - 1}{(x+1)^{299} - x}",
        "mixed fraction": "7" * 500 + r"\frac{1}{2}",
        "absolute values": "".join(f"|x-{n}|+" for n in range(100)) + "1",
        "floor of a tower": r"\lfloor \pi^{\pi^{\pi^{\pi}}} \rfloor",
        "gcd": r"\gcd(" + "7" * 3000 + "," + "3" * 3000 + ")",
        "logarithms": nest(r"\log(@)", 60, "10"),
        "exponential of exponentials": nest("e^{@}", 12, "9"),
    }
    for name, formula in formulas.items():
        yield name, boxed(formula)


def units() -> Iterator[tuple[str, str]]:
    for unit in (
        r"\text{ cm}",
        r"\mathrm{~m}^2",
        r"^\circ",
        "%" * 50,
        r"\%\%",
        r"\$\$",
        " dollars and cents",
        r"\text{ km}/\text{h}",
        "e",
        "i",
        "j",
        "E+",
        "x10",
        "th",
        " percent percent",
        " m" * 5000,
        r"\text{ s}" * 2000,
        "°" * 1000,
        ":41:41",
        "/",
        "_2",
        "'" * 500,
        "...",
        r"\ldots" * 500,
    ):
        shown = unit if len(unit) < 20 else f"{unit[:8]} × {len(unit)}"
        yield shown, boxed(f"41{unit}")


def tex(canaries: str) -> Iterator[tuple[str, str]]:
    payloads = {
        "def": r"\def\a{\a\a}\a",
        "doubling": r"\def\a{xx}\def\b{\a\a}\def\c{\b\b}\c",
        "newcommand": r"\newcommand{\x}{\x}\x",
        "loop": r"\loop\iftrue\repeat",
        "input": r"\input{/etc/passwd}",
        "input here": r"\input{|touch canary}",
        "write18": rf"\immediate\write18{{touch {canaries}/write18}}",
        "openout": rf"\newwrite\f\immediate\openout\f={canaries}/openout",
        "include": r"\include{/dev/zero}",
        "catcode": r"\catcode`\{=12 \catcode`\}=12",
        "csname": r"\csname boxed\endcsname{42}",
        "comment": "%" * 5000,
        "let": r"\let\boxed\relax",
        "url": r"\href{http://127.0.0.1:9}{42}",
        "lua": rf"\directlua{{os.execute('touch {canaries}/lua')}}",
        "array": r"\begin{array}{" + "c" * 5000 + "}1" + "&1" * 4999 + r"\end{array}",
        "cases": r"\begin{cases}" + r"x & 1 \\" * 500 + r"\end{cases}",
        "aligned": r"\begin{aligned}" + r"x &= 1 \\" * 500 + r"\end{aligned}",
        "unknown environment": r"\begin{nothing}42\end{nothing}",
        "environment never closed": r"\begin{pmatrix}1",
        "unknown commands": r"\foo\bar\baz" * 500,
        "verb": r"\verb|42|",
        "substack": r"\substack{4\\2}",
        "stackrel": nest(r"\stackrel{@}{=}", 100, "x"),
        "phantom": r"\phantom{42}",
        "frac without arguments": r"\frac" * 1000,
        "sqrt without arguments": r"\sqrt" * 1000,
        "left without right": r"\left(" * 1000,
        "right without left": r"\right)" * 1000,
        "log malformed": r"\log_" * 500 + "2",
        "exponents in parentheses": "^(" * 2000,
        "sqrt in parentheses": "sqrt(" * 2000,
        "fractions of digits": r"\frac 1 2" * 2000,
        "permutations": "(a+b)_{" * 1000,
        "text": r"\text{" + "and " * 5000 + "}",
        "mbox": r"\mbox{a}^2" * 2000,
    }
    for name, payload in payloads.items():
        yield name, boxed(payload)
