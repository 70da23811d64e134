"""Seconds of one RL step: the lab's engine against TRL's GRPOTrainer, step by step in turn.

    python benchmarks/lab_step.py --size 9 --model MODEL
    python benchmarks/lab_step.py --size 17 --sft-steps 200

Both begin every step with the same weights (put back before it, not timed), so that responses keep
the length of the base model's, and see the same mazes. A step is everything from prompts to new
weights: sampling, rewards, advantages, one on-policy update by AdamW. The lab also draws its mazes
within its time, and TRL its batch from a ready data set. Random numbers differ, so lengths and
rewards agree within sampling error only. Before, the log-probabilities that the lab sampled one
batch with are compared with TRL's for training on it.

TRL has what is fastest for it here: attention by `scaled_dot_product_attention`, cached decoding,
no gradient checkpointing, no KL, no reference model, no dropout, no logging or saving, and all
threads (`torch.set_num_threads`) on its turns. It generates all rollouts at once and trains on
``--trl-batch`` of them at a time: for 9×9 mazes on two cores 16, 32 and 64 did not differ by more
than the noise, 128 and 256 were slower. TRL without vLLM, which needs a GPU.

Without ``--model`` a base model is trained first and kept in ``--folder``. Groups whose rollouts
are all right or all wrong carry no gradient and the lab leaves them out of training: look at the
share of groups with a gradient before you quote a ratio. With ``--reward coin`` nearly every group
has one, whatever the model.

Look at the load, too: other programs on the cores slow TRL more, whose threads wait for each other
at every operation; with ``OMP_WAIT_POLICY=PASSIVE`` they wait without using a core, and processor
seconds can be compared even then. On a GPU the peak memory of each engine's turns is told; the few
MiB of both engines' weights and optimisers are in both peaks.
"""

import os
import sys
import warnings

from lab_engines.options import base_folder, open_base, parse
from lab_engines.ours import Lab
from lab_engines.report import heading, table, write_figures

from fgrpo.errors import RunError, UsageError

MOST_DIFFERENCE = 1e-4  # of log-probabilities in fp32


def main(arguments: list[str]) -> int:
    try:
        options = parse(arguments, __doc__.splitlines()[0])
        from lab_engines.theirs import TrlTurns  # loads TRL, which takes its time

        folder = base_folder(options)
        model = open_base(folder, options)
        print(heading(options, model), flush=True)
        lab = Lab(options, model)
        trl = TrlTurns(options, folder, [lab.mazes(step) for step in range(options.steps)])

        rollouts = lab.rollouts(0)
        apart = (rollouts.logprobs - trl.logprobs(rollouts)).abs()
        difference = float(apart[rollouts.mask].max())
        print(
            f"log-probabilities of {options.rollouts} responses differ by {difference:.1e} at most"
        )
        if options.recipe.precision == "fp32" and not difference < MOST_DIFFERENCE:
            raise RunError(
                f"log-probabilities differ by {difference:.1e}, more than {MOST_DIFFERENCE:.0e}: "
                "the engines do not compute the same function, so their times say nothing"
            )

        ours = []
        trl.run(before=lambda step: ours.append(lab.step(step)))
        ours, theirs = ours[options.warm_up :], trl.turns[options.warm_up :]
        print(table(options, ours, theirs))
        load = os.getloadavg()[0]
        print(
            f"load {load:.1f} on {os.cpu_count()} cores: {options.threads} would be this program's"
        )
        write_figures(options, model, difference, ours, theirs)
    except (UsageError, RunError) as error:
        print(f"lab_step.py: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    return 0


if __name__ == "__main__":
    # What other packages have to say of their own next versions, and their bars.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    warnings.filterwarnings("ignore", category=FutureWarning)
    sys.exit(main(sys.argv[1:]))
