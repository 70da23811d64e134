"""Run what docs/trl.md shows, commands and Python, in its order and at a size a CPU manages.

``make docs-check`` runs all of it in an environment made for it; the tests leave the installation
out. What is changed on the way is in ``SMALLER``, and nothing else.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "trl.md"
MODEL = "Qwen/Qwen2.5-0.5B-Instruct"
SMALL_RUN = (
    "--model_name_or_path {model} --use_cpu true --bf16 false --max_steps 2 "
    "--save_steps 1 --max_completion_length 8 --per_device_train_batch_size 8 "
    "--gradient_accumulation_steps 1"
)
SMALLER = [
    (r"^((?:accelerate .*)?fgrpo train .*--output_dir.*)$", rf"\1 {SMALL_RUN}"),
    (r"--num_processes 8", "--num_processes 1 --cpu"),
    (MODEL, "{model}"),
    (r"size=64", "size=6"),
    (r"--samples 256 --max-tokens 256", "--samples 4 --max-tokens 8"),
    (
        r'"runs/script", focal_gamma=0.5',
        r"\g<0>, use_cpu=True, bf16=False, max_steps=2, max_completion_length=8",
    ),
]


def blocks():
    return re.findall(r"```(sh|python)\n(.*?)```", PAGE.read_text(), re.DOTALL)


def smaller(block, model):
    for pattern, replacement in SMALLER:
        block = re.sub(pattern, replacement.replace("{model}", model), block, flags=re.MULTILINE)
    return block


def run(folder, *, install):
    """Run everything in ``folder``; return what was printed."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    folder.mkdir(parents=True, exist_ok=True)
    model = str(folder.resolve() / "tiny-model")

    def do(*words):
        done = subprocess.run(
            words,
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=1200,
        )
        if done.returncode:
            raise AssertionError(
                f"{words[-1]}\nended with {done.returncode}:\n{done.stdout[-3000:]}"
            )
        return done.stdout

    (_, installation), *shown = blocks()
    if install:
        do("bash", "-exc", installation.replace("'.[", f"'{ROOT}["))
    do(sys.executable, str(ROOT / "tests" / "tiny_llm.py"), model)
    program = {"sh": ("bash", "-exc"), "python": (sys.executable, "-c")}
    return "\n".join(do(*program[language], smaller(block, model)) for language, block in shown)


if __name__ == "__main__":
    print(run(Path(sys.argv[1]), install=True)[-3000:])
    print("docs/trl.md: all of it ran")
