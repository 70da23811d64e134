"""The verifiers' processes: a right and a wrong answer, and the layers of isolation."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from fgrpo.doctor.finding import Finding, Status

if TYPE_CHECKING:
    from fgrpo.doctor.process import Answer

_TEXTS = (r"It is \boxed{\frac{84}{2}}.", r"It is \boxed{41}.")
_VERDICTS = ["correct", "wrong"]


def look() -> dict[str, Any]:
    """Verify a right and a wrong answer (in a process of its own)."""
    from fgrpo.verify import VerifierPool

    verifier = "maths" if find_spec("math_verify") else "exact"
    texts = _TEXTS if verifier == "maths" else ("42", "41")
    with VerifierPool(1) as pool:
        verdicts = pool.verify(verifier, texts, ["42", "42"])
        layers = pool.layers()
    return {
        "verifier": verifier,
        "outcomes": [verdict.outcome.value for verdict in verdicts],
        "reasons": [verdict.reason for verdict in verdicts if verdict.reason],
        "layers": layers,
    }


def findings(answer: Answer) -> list[Finding]:
    """Judge what `look` answered."""
    from fgrpo.verify.isolation import ACTIVE

    fix = "the same by hand: python -c 'from fgrpo.doctor.workers import look; print(look())'"
    if answer.error:
        return [Finding("workers", Status.BROKEN, answer.error, fix=fix)]
    facts = answer.facts
    if facts["outcomes"] != _VERDICTS:
        why = "".join(f" ({reason})" for reason in facts["reasons"])
        text = (
            f"a right and a wrong answer were judged {' and '.join(facts['outcomes'])} by "
            f"{facts['verifier']}{why}"
        )
        return [Finding("workers", Status.BROKEN, text, fix=fix)]
    told = Finding(
        "workers", Status.OK, f"{facts['verifier']} told a right answer from a wrong one"
    )
    missing = [f"{name} ({why})" for name, why in facts["layers"].items() if why != ACTIVE]
    if not missing:
        return [told, Finding("isolation", Status.OK, f"all {len(facts['layers'])} layers")]
    text = (
        f"without {'; '.join(missing)}: verifiers that evaluate a model's text are refused, "
        "the others run behind the layers that are left"
    )
    return [told, Finding("isolation", Status.NOTE, text)]
