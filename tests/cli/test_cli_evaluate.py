"""fgrpo evaluate as its user runs it, against a server on this machine."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

import forks
from fgrpo.evaluate.texts import read_texts
from fgrpo.passk import pass_at_k
from fgrpo.records import read_counts, read_records

sys.path.insert(0, str(Path(__file__).parents[1] / "evaluate"))
from faulty_server import late, prompt_of, serving, status, text_of, then_answer

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning")]
KEY = "sk-canary-4711"


def boxed(call):
    """Choice i says a digit from 0 to 3 that its prompt and its seed determine."""
    choices = []
    for choice in call.choices():
        digit = int(text_of(prompt_of(call.body), call.body["seed"] + choice["index"]), 16) % 4
        content = f"I think that it is \\boxed{{{digit}}}."
        choices.append({**choice, "message": {"role": "assistant", "content": content}})
    call.send(call.reply(choices))


@pytest.fixture
def server():
    with serving(boxed) as (one,):
        yield one


@pytest.fixture
def questions(tmp_path):
    path = tmp_path / "digits.jsonl"
    rows = [{"problem": f"What is {i} mod 4?", "answer": str(i % 4)} for i in range(12)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def command(questions, server, out, *more):
    return [
        sys.executable,
        "-m",
        "fgrpo",
        "evaluate",
        *("--model", "toy", "--benchmark", str(questions), "--out", str(out)),
        *("--sampler", "openai", "--url", server.url, "--workers", "1", "--chunk", "4"),
        *more,
    ]


@pytest.fixture(scope="module")
def programs():
    modules = ("scipy.special", "httpx2", "fgrpo.cli.evaluate_output", "fgrpo.evaluate.session")
    environment = {**os.environ, "OPENAI_API_KEY": KEY, "COLUMNS": "100"}
    with forks.fgrpo_server(
        *modules, "fgrpo.evaluate.samplers.openai", "fgrpo.verify", environment=environment
    ) as server:
        yield server


@pytest.fixture
def fgrpo(programs, tmp_path_factory):
    """Run a command line of `command`, and look at its exit code."""

    def run(arguments, code=0):
        said = tmp_path_factory.mktemp("said") / "of"
        done = programs.run(*arguments[3:], folder=Path.cwd(), said=said)
        assert done.code == code, done.err
        return done

    return run


def records(folder):
    found = list(read_records(folder / "records.jsonl"))
    return sorted(found, key=lambda record: (record.problem, record.sample))


def test_an_evaluation_from_end_to_end(tmp_path, server, questions, fgrpo):
    out = tmp_path / "run"
    done = fgrpo(command(questions, server, out, "-n", "8"))
    said = {(problem, sample): text for problem, sample, text in read_texts(out / "texts.jsonl.gz")}
    assert len(said) == 12 * 8
    for record in records(out):
        digit = re.search(r"boxed\{(\d)\}", said[record.problem, record.sample])[1]
        name = int(record.problem.removeprefix("digits/"))  # from 1 on
        assert record.correct == (int(digit) == (name - 1) % 4)
    counts = read_counts(out / "records.jsonl")
    with (out / "pass_at_k.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["k"]) for row in rows] == [1, 2, 4, 8]
    for row in rows:
        wanted = pass_at_k(counts.n, counts.c, int(row["k"])).mean()
        assert float(row["pass_at_k"]) == pytest.approx(wanted, abs=1e-12)
        assert float(row["low"]) <= wanted <= float(row["high"])
        assert f"{100 * wanted:.1f} (" in done.out
    about = json.loads((out / "evaluation.json").read_text())
    assert about["settings"]["model"] == "toy"
    assert about["runs"][0]["done"]["samples"] == 96
    assert about["benchmarks"]["digits"]["problems"] == 12


def test_a_run_notes_tokens_and_verification(tmp_path, server, questions, fgrpo):
    out = tmp_path / "run"
    done = fgrpo(command(questions, server, out, "-n", "8", "--verify-seconds", "7"))
    (run,) = json.loads((out / "evaluation.json").read_text())["runs"]
    # The server counts 7 tokens a prompt, and 5 a choice but in total, so records have none.
    assert run["done"]["usage"] == {
        "prompt_tokens": 24 * 7, "completion_tokens": 96 * 5, "answers": 24, "failures": 0,
    }  # fmt: skip
    assert {record.tokens for record in records(out)} == {None}
    assert "96/96 480 tokens" in done.err
    assert run["verification"]["seconds"] == 7
    assert run["verification"]["layers"]["limits"] == "active"
    again = command(questions, server, out, "-n", "108", "--verify-seconds", "7", "--dry-run")
    assert re.search(r"digits .* 1,200 .* 4\.92M .* 6k ", fgrpo(again).out)


def test_the_size_of_requests_changes_no_record(tmp_path, server, questions, fgrpo):
    for chunk in ("1", "5"):
        fgrpo(command(questions, server, tmp_path / chunk, "-n", "8", "--chunk", chunk))
    one, five = ([replace(one, tokens=None) for one in records(tmp_path / c)] for c in "15")
    assert one == five


def test_options_reach_the_server_and_the_folder(tmp_path, server, questions, fgrpo):
    out = tmp_path / "run"
    given = ["--stop", "Question:", "--stop", "\n\n", "--logprobs", "--timeout", "55"]
    fgrpo(command(questions, server, out, "-n", "4", *given))
    body = server.calls[0].body
    assert body["stop"] == ["Question:", "\n\n"]
    assert body["logprobs"] is True
    about = json.loads((out / "evaluation.json").read_text())
    assert about["settings"]["stop"] == ["Question:", "\n\n"]
    assert about["runs"][0]["sampler"]["logprobs"] is True
    done = fgrpo(command(questions, server, out, "-n", "8"), code=2)
    assert "stop is" in done.err


def test_a_call_is_made_again_after_the_timeout(tmp_path, questions, fgrpo):
    with serving(then_answer(late(30))) as (server,):
        arguments = command(questions, server, tmp_path / "run", "-n", "1", "--limit", "1")
        done = fgrpo([*arguments, "--timeout", "0.3"])
        assert len(server.calls) == 2
    assert "failed calls made again: 1" in done.err


def test_the_key_is_sent_and_written_nowhere(tmp_path, server, questions, fgrpo):
    out = tmp_path / "run"
    done = fgrpo(command(questions, server, out, "-n", "4"))
    assert {call.headers["Authorization"] for call in server.calls} == {f"Bearer {KEY}"}
    assert KEY not in done.out + done.err
    assert not any(KEY.encode() in path.read_bytes() for path in out.iterdir())


def test_asking_for_more_adds_only_the_missing(tmp_path, server, questions, fgrpo):
    out = tmp_path / "run"
    fgrpo(command(questions, server, out, "-n", "4"))
    before, calls = records(out), len(server.calls)
    fgrpo(command(questions, server, out, "-n", "4"))
    assert len(server.calls) == calls
    fgrpo(command(questions, server, out, "-n", "7"))
    assert sum(call.body["n"] for call in server.calls[calls:]) == 12 * 3
    assert [record for record in records(out) if record.sample < 4] == before


def test_kill_9_under_load_loses_and_doubles_nothing(tmp_path, server, questions, fgrpo):
    """The whole program, verifiers included, killed again and again; then compared with one run."""
    out, kills = tmp_path / "killed", 0
    arguments = command(questions, server, out, "-n", "64", "--concurrency", "8")
    path = out / "records.jsonl"
    for attempt in range(25):
        process = subprocess.Popen(
            arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        size = path.stat().st_size if path.exists() else 0
        while process.poll() is None:
            if path.exists() and path.stat().st_size > size + 4000 * (1 + attempt % 3):
                os.kill(process.pid, signal.SIGKILL)
                break
            time.sleep(0.002)
        _, errors = process.communicate(timeout=60)
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, errors
        kills += 1
    assert process.returncode == 0
    assert kills >= 2
    fgrpo(command(questions, server, tmp_path / "whole", "-n", "64", "--concurrency", "1"))
    assert records(out) == records(tmp_path / "whole")
    assert sorted(read_texts(out / "texts.jsonl.gz")) == sorted(
        read_texts(tmp_path / "whole" / "texts.jsonl.gz")
    )


def test_a_server_that_refuses_ends_with_its_message(tmp_path, questions, fgrpo):
    with serving(status(404, "no model toy")) as (server,):
        done = fgrpo(command(questions, server, tmp_path / "run", "-n", "4"), code=1)
    assert "no model toy" in done.err
    assert "Traceback" not in done.err


def test_other_settings_are_refused(tmp_path, server, questions, fgrpo):
    out = tmp_path / "run"
    fgrpo(command(questions, server, out, "-n", "4"))
    before = (out / "records.jsonl").read_bytes()
    done = fgrpo(command(questions, server, out, "-n", "4", "--temperature", "0.5"), code=2)
    assert "temperature is 1.0 in the file, given 0.5" in done.err
    assert (out / "records.jsonl").read_bytes() == before


def test_a_folder_without_samples_takes_other_settings(tmp_path, server, questions, fgrpo):
    """A first try that failed, say for a mistyped name, does not lock the folder."""
    out = tmp_path / "run"
    with serving(status(404, "no such model")) as (refusing,):
        fgrpo(command(questions, refusing, out, "-n", "4", "--system", "Think"), code=1)
    fgrpo(command(questions, server, out, "-n", "4", "--temperature", "0.5"))
    assert len(records(out)) == 48


def test_a_verifier_of_one_s_own_may_lie_in_the_current_folder(tmp_path, server, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text("def verify(text, reference):\n    return 'think' in text\n")
    Path("own.jsonl").write_text(
        json.dumps({"problem": "What?", "answer": "-", "verifier": "mine:verify"})
    )
    script = Path(sys.executable).with_name("fgrpo")
    arguments = command("own.jsonl", server, "run", "-n", "4")[3:]
    done = subprocess.run(
        [script, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "OPENAI_API_KEY": KEY},
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [record.correct for record in records(Path("run"))] == [True] * 4


def test_changed_problems_are_refused(tmp_path, server, questions, fgrpo):
    out = tmp_path / "run"
    fgrpo(command(questions, server, out, "-n", "4"))
    questions.write_text(questions.read_text().replace("5 mod 4", "9 mod 4"))
    done = fgrpo(command(questions, server, out, "-n", "8"), code=2)
    assert "'digits/6' was asked with another messages" in done.err


def test_a_dry_run_counts_and_samples_nothing(tmp_path, server, questions, fgrpo):
    out = tmp_path / "run"
    arguments = command(questions, server, out, "-n", "1000", "--max-tokens", "100")
    done = fgrpo([*arguments, "--dry-run"])
    assert "12,000" in done.out  # completions
    assert "1.2M" in done.out  # tokens at most
    assert not out.exists()
    fgrpo(command(questions, server, out, "-n", "8", "--max-tokens", "100"))
    calls = len(server.calls)
    assert "11,904" in fgrpo([*arguments, "--dry-run"]).out
    assert len(server.calls) == calls


def test_the_list_names_the_benchmarks(fgrpo):
    done = fgrpo([sys.executable, "-m", "fgrpo", "evaluate", "--list"])
    for name in ("math500", "aime24", "gpqa-diamond", "mazes", "reasoning-gym-out"):
        assert name in done.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "m", "--out", "o"], "--benchmark"),
        (["-b", "mazes", "--out", "o"], "--model"),
        (["-b", "mazes", "--model", "m"], "--out"),
        (["-b", "maze", "--model", "m", "--out", "o"], "did you mean mazes"),
        (["-b", "mazes,mazes", "--model", "m", "--out", "o"], "twice"),
        (["-b", "mazes", "--model", "m", "--out", "o", "--data", "x"], "BENCHMARK=FILE"),
        (["-b", "mazes", "--model", "m", "--out", "o", "--data", "aime24=x"], "'aime24'"),
        (["-b", "mazes", "--model", "m", "--out", "o", "--url", "http://x"], "--sampler openai"),
        (["-b", "mazes", "--model", "m", "--out", "o", "--sampler", "openai"], "--url"),
        (["-b", "mazes", "--model", "m", "--out", "o", "--logprobs"], "--logprobs belongs to"),
        (["-b", "mazes", "--model", "m", "--out", "o", "--timeout", "9"], "--sampler openai"),
        (["-b", "mazes", "--model", "m", "--out", "o", "--stop", ""], "stop text"),
        (["-b", "mazes", "--model", "m", "--out", "o", "--sampler", "vllm"], "vllm"),
        (["-b", "mazes", "--model", "no/such", "--out", "o"], "no/such"),
    ],
)
def test_wrong_use_ends_with_one_line(tmp_path, monkeypatch, arguments, said, fgrpo):
    monkeypatch.chdir(tmp_path)
    done = fgrpo([sys.executable, "-m", "fgrpo", "evaluate", *arguments], code=2)
    assert said in done.err
    assert done.err.count("\n") == 1
