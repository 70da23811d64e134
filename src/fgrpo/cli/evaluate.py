"""``fgrpo evaluate``: sample a model many times on benchmarks, verify, write records."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgrpo.cli import evaluate_options as option
from fgrpo.cli.evaluate_options import SamplerKind
from fgrpo.cli.stopping import stoppable
from fgrpo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fgrpo.evaluate.prompts import PromptSettings
    from fgrpo.evaluate.samplers.base import Sampler, SamplingSettings
    from fgrpo.evaluate.session import Evaluation
    from fgrpo.verify import VerifierPool

PACKAGES = (
    "numpy",
    "datasets",
    "httpx2",
    "if-verifiable",
    "latex2sympy2_extended",
    "math-verify",
    "reasoning-gym",
    "sympy",
    "torch",
    "transformers",
    "vllm",
)
_LOCAL = frozenset({"adapter", "revision", "dtype", "batch"})
_TAKEN = {
    SamplerKind.TRANSFORMERS: _LOCAL | {"gguf_file", "device"},
    SamplerKind.OPENAI: frozenset({"url", "concurrency", "timeout", "logprobs", "key_variable"}),
    SamplerKind.VLLM: _LOCAL,
}


def evaluate(
    model: option.Model = None,
    benchmark: option.Benchmarks = None,
    samples: option.Samples = 16,
    out: option.Out = None,
    show_list: option.ShowBenchmarks = False,
    dry_run: option.DryRun = False,
    data: option.Data = None,
    limit: option.Limit = None,
    temperature: option.Temperature = 1.0,
    top_p: option.TopP = 1.0,
    max_tokens: option.MaxTokens = 4096,
    stop: option.Stop = None,
    seed: option.Seed = 0,
    system: option.System = None,
    thinking: option.Thinking = None,
    chat: option.Chat = None,
    sampler: option.Sampler = SamplerKind.TRANSFORMERS,
    chunk: option.Chunk = 16,
    adapter: option.Adapter = None,
    revision: option.Revision = None,
    gguf_file: option.GgufFile = None,
    dtype: option.Dtype = None,
    device: option.Device = None,
    batch: option.Batch = None,
    url: option.Urls = None,
    concurrency: option.Concurrency = None,
    timeout: option.Timeout = None,
    logprobs: option.Logprobs = False,
    key_variable: option.KeyVariable = None,
    workers: option.Verifiers = None,
    seconds: option.VerifySeconds = 10.0,
    unsafe: option.UnsafeScorers = False,
    texts: option.Texts = True,
) -> None:
    """Sample a model on benchmarks, verify the answers, print pass@k with intervals.

    Killed at any moment, the same command goes on where it was.
    More --samples, problems or benchmarks add only what is missing.

    fgrpo evaluate --model Qwen/Qwen2.5-7B -b aime24,math500 -n 1024 --out runs/base
    """
    given = dict(locals())
    if show_list:
        from fgrpo.cli.evaluate_output import print_list
        from fgrpo.evaluate.benchmarks import describe_benchmarks

        print_list(describe_benchmarks())
        return
    names = [name for part in benchmark or () for name in part.split(",") if name]
    _check_given(names, model, out, dry_run=dry_run)
    asked = _asked(names, given)
    if dry_run:
        from fgrpo.cli.evaluate_output import print_costs
        from fgrpo.evaluate.session import costs

        print_costs(costs(asked, out, max_tokens), texts=texts)
        return
    assert out is not None
    _evaluate(asked, out, given)


def _asked(names: Sequence[str], given: Mapping[str, Any]) -> Evaluation:
    """Return what is to be sampled, of the options as given."""
    from fgrpo.evaluate.prompts import prompts_for
    from fgrpo.evaluate.session import Evaluation

    prompts = prompts_for(
        given["model"], system=given["system"], thinking=given["thinking"], chat=given["chat"]
    )
    return Evaluation(
        benchmarks=names,
        samples=given["samples"],
        prompts=prompts,
        identity=_identity(given, prompts),
        seed=given["seed"],
        chunk=given["chunk"],
        data=_read_data(given["data"] or ()),
        limit=given["limit"],
        texts=given["texts"],
    )


def _identity(given: Mapping[str, Any], prompts: PromptSettings) -> dict[str, Any]:
    """Return what makes samples others than those of another evaluation."""
    same = ("model", "adapter", "revision", "gguf_file", "temperature", "top_p", "max_tokens")
    return {
        **{name: given[name] for name in same},
        "stop": given["stop"] or [],
        "system": prompts.system,
        "thinking": prompts.thinking,
        "chat": prompts.chat,
        "seed": given["seed"],
    }


def _evaluate(asked: Evaluation, folder: Path, given: Mapping[str, Any]) -> None:
    """Run it with a bar, then print and write the table."""
    from fgrpo.cli.evaluate_output import print_table, progress_text
    from fgrpo.cli.progress import ProgressDisplay
    from fgrpo.evaluate.samplers.base import SamplingSettings
    from fgrpo.evaluate.session import evaluate
    from fgrpo.evaluate.table import table, write_table
    from fgrpo.provenance import provenance

    settings = SamplingSettings(
        given["temperature"],
        given["top_p"],
        given["max_tokens"],
        asked.prompts.thinking,
        asked.prompts.chat,
        tuple(given["stop"] or ()),
    )
    options = _options_of(given["sampler"], given)
    sys.path.append(str(Path.cwd()))  # where a verifier of one's own may lie
    command = shlex.join(["fgrpo", *sys.argv[1:]])
    name = "samples"
    with stoppable(), ProgressDisplay() as display:
        evaluate(
            asked,
            folder,
            lambda: _make_sampler(given, settings, options),
            lambda: _make_pool(given),
            about_run=provenance(command, None, PACKAGES),
            about_pool={"seconds": given["seconds"], "unsafe_scorers": given["unsafe"]},
            announce=lambda missing: display.announce({name: missing}),
            progress=lambda tally: display.show(name, tally.samples, progress_text(tally)),
            warn=lambda text: print(f"fgrpo: {text}", file=sys.stderr),
        )
    columns = table(folder)
    write_table(folder, columns)
    print_table(columns, folder)


def _make_sampler(
    given: Mapping[str, Any], settings: SamplingSettings, options: Mapping[str, Any]
) -> Sampler:
    from fgrpo.evaluate.samplers import make_sampler

    return make_sampler(given["sampler"], given["model"], settings, **options)


def _make_pool(given: Mapping[str, Any]) -> VerifierPool:
    from fgrpo.verify import VerifierPool

    return VerifierPool(given["workers"], seconds=given["seconds"], allow_unsafe=given["unsafe"])


def _check_given(
    names: Sequence[str], model: str | None, out: Path | None, *, dry_run: bool
) -> None:
    if not names:
        raise UsageError("say what to ask with --benchmark; --list shows the choice")
    if model is None:
        raise UsageError("say which model with --model")
    if out is None and not dry_run:
        raise UsageError("say where the records go with --out FOLDER")


def _read_data(given: Iterable[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for one in given:
        name, equals, path = one.partition("=")
        if not (name and equals and path):
            raise UsageError(f"--data {one!r}: expected BENCHMARK=FILE")
        if name in found:
            raise UsageError(f"--data gives two files for {name!r}; give one")
        found[name] = Path(path)
    return found


def _options_of(kind: SamplerKind, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was given for samplers, if this kind takes it."""
    known = frozenset().union(*_TAKEN.values())
    chosen = {
        name: value
        for name, value in given.items()
        if name in known and value is not None and value is not False
    }
    for name in chosen:
        if name not in _TAKEN[kind]:
            takers = " or ".join(one for one in SamplerKind if name in _TAKEN[one])
            flag = name.replace("_", "-")
            raise UsageError(f"--{flag} belongs to --sampler {takers}, not to {kind}")
    if kind is SamplerKind.OPENAI:
        if "url" not in chosen:
            raise UsageError("--sampler openai needs --url, such as http://127.0.0.1:8000/v1")
        chosen["urls"] = chosen.pop("url")
    return chosen
