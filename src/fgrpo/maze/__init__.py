"""The maze task of the paper: mazes with one way through, their tokens, and the reward.

Each prompt has exactly one correct sequence of moves, so a fall of pass@k is lost coverage of
prompts, not of alternatives within one. Everything here is NumPy; only the drawing of images
imports matplotlib, when it is called.

References
----------
F-GRPO, arXiv 2602.06717, section 5.2 and appendix K; the mazes follow arXiv 2602.02710.
"""

from fgrpo.maze.grid import MOVE_DELTAS, Move, generate, solve
from fgrpo.maze.render import draw, save_image, to_ascii, trace
from fgrpo.maze.reward import rewards
from fgrpo.maze.tokens import (
    VOCAB_SIZE,
    Token,
    decode,
    decode_prompt,
    encode_prompts,
    encode_solutions,
    prompt_length,
)

__all__ = [
    "MOVE_DELTAS",
    "VOCAB_SIZE",
    "Move",
    "Token",
    "decode",
    "decode_prompt",
    "draw",
    "encode_prompts",
    "encode_solutions",
    "generate",
    "prompt_length",
    "rewards",
    "save_image",
    "solve",
    "to_ascii",
    "trace",
]
