"""``fgrpo rare-nll``: what training did to the right answers that the base model finds rare."""

from __future__ import annotations

import shlex
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from fgrpo.cli import rare_nll_options as option
from fgrpo.cli.stopping import stoppable
from fgrpo.errors import UsageError, to_install

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from fgrpo.evaluate.rare.change import Change
    from fgrpo.evaluate.rare.measure import Measured

LOCK_FILE = ".lock"
_GAP = 0.1  # nats per token: bfloat16 and other kernels give some 0.01


def rare_nll(
    base: option.BaseRecords,
    base_model: option.BaseModel,
    models: option.TrainedModels,
    out: option.Out,
    share: option.Share = 0.01,
    prompts: option.Prompts = None,
    chat: option.Chat = None,
    thinking: option.Thinking = None,
    max_tokens: option.MaxTokens = None,
    recompute: option.Recompute = False,
    batch: option.Batch = 8,
    dtype: option.Dtype = "auto",
    device: option.Device = None,
    seed: option.Seed = 0,
) -> None:
    """Measure what training did to the right answers that the base model finds rare (ΔNLL_rare).

    Of the base model's right answers, the --share with the highest length-normalised negative
    log-likelihood is chosen; shown is how their mean NLL changed under each trained model, with a
    95% interval over prompts. Interrupted at any moment, the same command goes on where it was.

    fgrpo rare-nll runs/base --base-model Qwen/Qwen2.5-7B --model grpo=runs/grpo/final
    --model focal=runs/focal/final --out runs/rare
    """
    _check_installed()
    from fgrpo.cli.progress import ProgressDisplay
    from fgrpo.evaluate.rare.change import changes
    from fgrpo.evaluate.rare.measure import measure
    from fgrpo.evaluate.rare.models import BASE, Model, parse_models
    from fgrpo.evaluate.rare.output import write_results
    from fgrpo.evaluate.rare.source import open_source
    from fgrpo.files import locked, make_folder
    from fgrpo.provenance import provenance

    first = Model(BASE, base_model, dtype=dtype, device=device)
    trained = parse_models(models, first)
    source = open_source(base, prompts=prompts, chat=chat, thinking=thinking)
    make_folder(out)
    settings = {
        "base": str(base),
        "models": {model.label: model.identity() for model in (first, *trained)},
        "share": share,
        "max_tokens": max_tokens,
        "chat": source.settings.chat,
        "thinking": source.settings.thinking,
        "seed": seed,
    }
    with stoppable(), locked(out / LOCK_FILE), ProgressDisplay() as display:
        measured = measure(
            source,
            first,
            trained,
            out,
            share=share,
            max_tokens=max_tokens,
            batch=batch,
            recompute=recompute,
            progress=display.stage,
        )
        found = changes(measured.nlls, source.right.problem[measured.chosen], seed)
        made = provenance(
            shlex.join(["fgrpo", *sys.argv[1:]]),
            device or "default",
            ("numpy", "torch", "transformers", "peft"),
        )
        write_results(out, measured, found, source, settings, made)
    _show(measured, found, out)


def _check_installed() -> None:
    if find_spec("torch") is None or find_spec("transformers") is None:
        raise UsageError(
            f"fgrpo rare-nll needs PyTorch and transformers: {to_install('transformers')}"
        )


def _show(measured: Measured, found: Sequence[Change], out: Path) -> None:
    from rich.console import Console

    console = Console(markup=False, highlight=False)
    by = "the recorded log-probabilities" if measured.recorded else "NLLs computed here"
    console.print(
        f"{len(measured.chosen)} rarest of {measured.eligible} right answers, of "
        f"{found[0].prompts} prompts; ranked by {by}: {measured.why}",
        soft_wrap=True,
    )
    if measured.too_long:
        console.print(f"{measured.too_long} right answers left out as longer than --max-tokens")
    if measured.retokenised:
        console.print(
            f"{measured.retokenised} of the chosen have another number of tokens than when they "
            "were sampled: the NLL is of the tokens that their text, which holds no special "
            "tokens, is written with",
            soft_wrap=True,
        )
    if measured.gap > _GAP:
        console.print(
            f"Careful: half of the chosen have a recorded NLL that is {measured.gap:.2f} nats per "
            "token or more from the one computed here. Is --base-model the model that BASE was "
            "sampled from, with the same prompts (--chat, --thinking)?",
            soft_wrap=True,
        )
    console.print(_table(found))
    for one in found:
        console.print(f"→ {one.verdict}", soft_wrap=True)
    several = "; p is not corrected for several comparisons" if len(found) > 1 else ""
    console.print(
        f"Intervals: over prompts{several}. Nothing here says what training again would give.",
        soft_wrap=True,
    )
    console.print(f"\nResults: {out / 'rare_nll.json'}, rare_nll.csv, trajectories.jsonl")


def _table(found: Sequence[Change]) -> Table:
    from rich.table import Table

    table = Table(title="Mean NLL of the rare right answers, nats per token", title_justify="left")
    for column in ("", "against", "NLL there", "NLL", "change", "95% interval"):
        table.add_column(column, justify="left" if column in ("", "against") else "right")
    for one in found:
        low, high = one.interval
        table.add_row(
            one.model,
            one.reference,
            f"{one.reference_nll:.3f}",
            f"{one.model_nll:.3f}",
            f"{one.difference:+.3f}",
            f"{low:+.3f} to {high:+.3f}" if one.judged else "cannot be judged",
        )
    return table
