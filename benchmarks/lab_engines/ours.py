"""The lab's step, as `fgrpo run` takes it, always from the same weights."""

from fgrpo.lab.model import Decoder
from fgrpo.lab.sampling import Rollouts, sample
from fgrpo.lab.seeds import Purpose, numpy_rng, torch_rng
from fgrpo.lab.shards import use_threads
from fgrpo.lab.task import Walls
from fgrpo.lab.train import train_step
from fgrpo.lab.update import make_optimizer
from fgrpo.maze import Token
from lab_engines.options import Options
from lab_engines.task import make_task
from lab_engines.turns import Meter, Turn

SEED = 1


class Lab:
    """The lab's engine with one model.

    Parameters
    ----------
    options
        The call's.
    model
        Its weights now are those every step begins with.
    """

    def __init__(self, options: Options, model: Decoder) -> None:
        self._options, self._model = options, model
        self._arm = options.recipe.arms[0]
        self._task = make_task(options)
        self._optimizer = make_optimizer(model, self._arm)
        self._weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    def mazes(self, step: int) -> Walls:
        """Return the mazes (prompts, size, size) of a step."""
        rng = numpy_rng(SEED, Purpose.TRAINING_MAZES, step)
        return self._task.training_mazes(rng, self._arm.prompts_per_step)

    def rollouts(self, step: int) -> Rollouts:
        """Sample a step's responses without training on them."""
        use_threads(self._options.threads)
        return sample(
            self._model,
            self._task.prompts(self.mazes(step)).to(self._options.device),
            self._arm.group_size,
            max_tokens=self._options.recipe.maze.response_cap,
            eos=Token.EOS,
            pad=Token.PAD,
            generator=torch_rng(SEED, Purpose.ROLLOUTS, step),
            precision=self._options.recipe.precision,
        )

    def step(self, step: int) -> Turn:
        """Make and read the mazes of a step, sample, reward, train; from the first weights."""
        self._model.load_state_dict(self._weights)
        use_threads(self._options.threads)
        device = self._options.device
        meter = Meter(device)
        figures = train_step(
            self._options.recipe,
            self._arm,
            SEED,
            step,
            self._task,
            self._model,
            self._optimizer,
            device,
        )
        return Turn(
            **meter.read(),
            sampling=figures["seconds_sampling"],
            rollouts=self._options.rollouts,
            tokens=round(figures["length"] * self._options.rollouts),
            reward=figures["reward"],
            mixed=figures["groups_mixed"],
        )
