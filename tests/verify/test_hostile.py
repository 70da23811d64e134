r"""Hostile answers, through the real pool: no verdict is lost, nothing escapes, nothing lingers.

For a longer fuzz by hand, with other answers each time:

    HOSTILE_SECONDS=600 pytest tests/verify/test_hostile.py -k fuzz
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from hostile import Hostile, corpus
from hostile_forms import boxed
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fgrpo.verify import Outcome, Verdict, VerifierPool

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

LIMIT = 0.25  # seconds: every answer that hangs costs as much
MEMORY = 1 << 29
KEEPER = 1 << 29  # what the verifiers themselves may take
GRACE = 2.0
WORKERS = 2
BY_HAND = "HOSTILE_SECONDS" in os.environ
FUZZ = float(os.environ.get("HOSTILE_SECONDS", "8"))

REFERENCES: dict[str, Any] = {
    "maths": "42",
    "exact": {"answer": "42", "ignore_case": True},
    "multiple-choice": {"answer": "C", "choices": 4},
    "maze": {"walls": ["#####", "#S..#", "###.#", "#..G#", "#####"]},
    "instructions": {
        "instruction_id_list": [
            *("detectable_format:number_bullet_lists", "detectable_format:title"),
            *("detectable_format:json_format", "detectable_content:postscript"),
            *("detectable_format:number_highlighted_sections", "change_case:english_capital"),
            *("detectable_content:number_placeholders", "language:response_language"),
        ],
        "kwargs": [
            {"num_bullets": 3},
            {},
            {},
            {"postscript_marker": "P.S."},
            {"num_highlights": 2},
            {},
            {"num_placeholders": 2},
            {"language": "en"},
        ],
    },
}
TASKS = ("gcd", "jugs", "sudoku", "decimal_arithmetic", "knights_knaves", "tower_of_hanoi")


@dataclass
class Run:
    """What a pool made of the corpus."""

    answers: list[Hostile]
    verdicts: dict[str, list[Verdict]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    peak: int = 0
    before: float = 0.0
    after: float = 0.0
    ordinary: list[bool] = field(default_factory=list)
    appeared: set[str] = field(default_factory=set)
    left: list[str] = field(default_factory=list)


ORDINARY = [
    (rf"Hence $\boxed{{\frac{{{n}}}{{{n + 1}}}}}$.", rf"\frac{{{n}}}{{9}}") for n in range(200)
]


def speed(pool: VerifierPool) -> float:
    """Ordinary answers a second, the best of three."""
    best = 0.0
    for _ in range(3):
        start = time.perf_counter()
        pool.verify("maths", *map(list, zip(*ORDINARY, strict=True)))
        best = max(best, len(ORDINARY) / (time.perf_counter() - start))
    return best


class Watch(threading.Thread):
    """Looks at the processes under this one, and keeps the most memory any had."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self._end = threading.Event()

    def run(self) -> None:
        while not self._end.wait(0.02):
            for process in psutil.Process().children(recursive=True):
                try:
                    self.peak = max(self.peak, process.memory_info().rss)
                except psutil.Error:
                    continue

    def stop(self) -> None:
        self._end.set()
        self.join()


def listing(*folders: Path) -> set[str]:
    """Everything in the folders, and at home whatever a payload would put there."""
    homely = Path.home().glob("*canary*")
    return {str(path) for folder in folders for path in folder.iterdir()} | set(map(str, homely))


def children() -> set[psutil.Process]:
    """This process's children: other tests may have left a helper of Python's own."""
    return set(psutil.Process().children(recursive=True))


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Have every verifier judge the whole corpus, once."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        canaries, place = Path(name, "canaries"), Path(name, "place")
        canaries.mkdir()
        place.mkdir()
        os.chdir(place)
        try:
            yield judge_everything(canaries, place)
        finally:
            os.chdir(here)


def judge_everything(canaries: Path, place: Path) -> Run:
    run = Run(corpus(str(canaries)))
    texts = [answer.text for answer in run.answers]
    before, processes = listing(canaries, place), children()
    watch = Watch()
    with VerifierPool(WORKERS, seconds=LIMIT, memory=MEMORY, grace=GRACE) as pool:
        pool.verify("maths", [r"\boxed{1}"] * WORKERS, ["1"] * WORKERS)
        run.before = speed(pool)
        watch.start()
        jobs = {**REFERENCES, **{f"reasoning-gym {task}": gym(task) for task in TASKS}}
        for job, reference in jobs.items():
            start = time.perf_counter()
            run.verdicts[job] = pool.verify(job.split()[0], texts, [reference] * len(texts))
            run.seconds[job] = time.perf_counter() - start
        right = pool.verify("maths", [r"\boxed{42}", r"\boxed{41}"] * 50, ["42"] * 100)
        run.ordinary = [verdict.correct for verdict in right]
        watch.stop()
        run.after = speed(pool)
    run.peak = watch.peak
    run.appeared = listing(canaries, place) - before
    run.left = [
        " ".join(process.info["cmdline"] or [])
        for process in psutil.process_iter(["cmdline"])
        if "97531" in (process.info["cmdline"] or [])
    ] + [process.name() for process in children() - processes]
    for job, verdicts in run.verdicts.items():
        kinds = [verdict.kind for verdict in verdicts if verdict.kind]
        counts = {kind: kinds.count(kind) for kind in sorted(set(kinds))}
        print(f"{job}: {len(verdicts)} answers in {run.seconds[job]:.1f} s, {counts}")
    print(f"largest process {run.peak >> 20} MiB")
    print(f"ordinary answers a second: {run.before:.0f} before, {run.after:.0f} after")
    return run


def gym(task: str) -> dict[str, Any]:
    import reasoning_gym

    from fgrpo.verify.reasoning_gym import to_reference

    return to_reference(task, reasoning_gym.create_dataset(task, seed=5, size=1)[0])


def test_corpus_is_as_large_as_promised() -> None:
    assert len(corpus("/nowhere")) >= 300


def test_every_answer_gets_a_verdict(run: Run) -> None:
    for verdicts in run.verdicts.values():
        assert len(verdicts) == len(run.answers)
        for verdict in verdicts:
            assert (verdict.outcome is Outcome.UNVERIFIABLE) == bool(verdict.reason)


# What ends in 42 as a reader, too, would see.
RIGHT = {
    "long: a megabyte of reasoning",
    "tex: phantom",
    *(f"code: {name} in the last line" for name in ("semicolon", "pipe", "redirect", "sql")),
    "code: assignment expression in the last line",
}


def test_no_hostile_answer_is_right(run: Run) -> None:
    for job, verdicts in run.verdicts.items():
        right = {a.name for a, v in zip(run.answers, verdicts, strict=True) if v.correct}
        assert right <= (RIGHT if job in ("maths", "exact") else set()), job


def test_reasons_are_of_known_kinds(run: Run) -> None:
    kinds = {verdict.kind for verdicts in run.verdicts.values() for verdict in verdicts}
    assert kinds <= {"", "time-out", "memory", "recursion"}


def test_answers_that_hang_are_found_out(run: Run) -> None:
    by_name = dict(zip((a.name for a in run.answers), run.verdicts["maths"], strict=True))
    assert by_name["tower: 9 to the 9, 4 high"].timed_out
    assert by_name["huge: factorial of 10^{12}"].kind in ("time-out", "memory")


def test_whole_corpus_takes_no_longer_than_the_limits_allow(run: Run) -> None:
    for job, verdicts in run.verdicts.items():
        cut = sum(verdict.timed_out or verdict.kind == "memory" for verdict in verdicts)
        # Those cut off take the limit and a fork; the others share the rest.
        allowed = (cut * (LIMIT + GRACE) + (len(verdicts) - cut) * LIMIT) / WORKERS
        assert run.seconds[job] < allowed, job


def test_memory_stays_bounded(run: Run) -> None:
    assert 0 < run.peak < KEEPER + MEMORY


def test_ordinary_answers_are_judged_as_before(run: Run) -> None:
    assert run.ordinary == [True, False] * 50
    assert run.after > run.before / 5, f"{run.before:.0f} answers a second became {run.after:.0f}"


def test_no_file_or_process_is_left(run: Run) -> None:
    assert run.appeared == set()
    assert run.left == []


def test_canaries_would_be_seen(tmp_path: Path) -> None:
    """The payloads do what they say when nothing holds them back."""
    payload = next(a for a in corpus(str(tmp_path)) if a.name == "code: touch in the last line")
    before = listing(tmp_path)
    exec(payload.text.splitlines()[-1])
    assert listing(tmp_path) - before == {str(tmp_path / "touched")}


@pytest.mark.skipif(sys.platform != "linux", reason="needs every layer of isolation")
def test_scorer_that_evaluates_is_held_back(tmp_path: Path) -> None:
    """The worst case: the payloads are run, by a scorer that evaluates its answer."""
    payloads = [a for a in corpus(str(tmp_path)) if a.name.startswith("code: ")]
    wanted = ("system", "popen", "subprocess", "touch", "open", "fork", "kill", "exit", "socket")
    chosen = [
        f"<answer>{a.text.splitlines()[-1]}</answer>"
        for a in payloads
        if a.name.endswith("last line") and any(word in a.name for word in wanted)
    ]
    entry = {"question": "", "answer": "1 2", "metadata": {}}
    reference = {"task": "spiral_matrix", "entry": entry}
    before = listing(tmp_path, Path.cwd())
    with VerifierPool(WORKERS, seconds=1.0, allow_unsafe=True) as pool:
        missing = {layer: why for layer, why in pool.layers().items() if why != "active"}
        if missing:
            pytest.skip(f"this system has not every layer: {missing}")
        verdicts = pool.verify("reasoning-gym-unsafe", chosen, [reference] * len(chosen))
        right = pool.verify("reasoning-gym-unsafe", ["<answer>1 2</answer>"], [reference])
    assert len(chosen) >= 10
    assert not any(verdict.correct for verdict in verdicts)
    assert right[0].correct
    assert listing(tmp_path, Path.cwd()) - before == set()


# --- fuzz ---------------------------------------------------------------------------------------

FRAGMENTS = [
    *(r"\frac{", r"\sqrt{", r"\left(", r"\right)", r"\begin{pmatrix}", r"\end{pmatrix}", r"\text{"),
    *(r"\boxed{", r"\sum_{n=1}^{9}", r"\int_0^1", r"\lim_{x \to 0}", r"\pi", r"\infty", r"\cdot"),
    *("{", "}", "(", ")", "[", "]", r"\{", r"\}", "^", "_", "&", r"\\", "$", "%", ",", ";", "|"),
    *("0", "1", "9", "42", "3.14", "1e9", "x", "y", "i", "e", "+", "-", "*", "/", "=", "<", "!"),
    *(" ", "\n", "\x00", "\ud800", "\u202e", "４", "٤", "²", "−", "answer", "and", "or", "cm"),
]
SEEDS = [answer.text for answer in corpus("/nowhere") if len(answer.text) < 500]

pieces = st.lists(st.sampled_from(FRAGMENTS), max_size=40).map("".join)


@st.composite
def mutations(draw: st.DrawFn) -> str:
    """An answer of the corpus with a part cut out and something put in its place."""
    text = draw(st.sampled_from(SEEDS))
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, min(len(text), start + 20)))
    return text[:start] + draw(pieces) + text[end:]


fuzzed = st.one_of(pieces, pieces.map(boxed), mutations())


class TimeIsUp(Exception):  # noqa: N818 - nothing is wrong
    """Ends the fuzz."""


def test_fuzz(pool: VerifierPool) -> None:
    """Every invented answer gets a verdict, and ordinary ones still get theirs."""
    batches: list[list[str]] = []
    end = time.monotonic() + FUZZ
    verifiers = ("maths", "exact", "multiple-choice", "maze")
    longest = 0.0

    @settings(
        max_examples=100_000 if BY_HAND else 60,
        derandomize=not BY_HAND,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(fuzzed, min_size=8, max_size=24))
    def judge(texts: list[str]) -> None:
        nonlocal longest
        if time.monotonic() > end:
            raise TimeIsUp
        batches.append(texts)
        for verifier in verifiers:
            start = time.perf_counter()
            asked = [*texts, *texts[:1]]
            verdicts = pool.verify(verifier, asked, [REFERENCES[verifier]] * len(asked))
            longest = max(longest, time.perf_counter() - start)
            assert len(verdicts) == len(asked)
            for verdict in verdicts:
                assert verdict.kind in ("", "time-out", "memory", "recursion")

    with contextlib.suppress(TimeIsUp):
        judge()
    answers = sum(map(len, batches))
    print(f"{answers} invented answers, slowest batch {longest:.1f} s")
    assert answers > 20
    assert pool.verify("maths", [r"\boxed{42}"], ["42"])[0].correct
