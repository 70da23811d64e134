"""Weights on disk: a folder any Qwen2 loader opens, and the one file training resumes from."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from fgrpo.errors import RunError
from fgrpo.files import make_folder, replace_file, write_text
from fgrpo.lab.model import RMS_NORM_EPS, ROPE_THETA, Decoder
from fgrpo.lab.settings import ModelSettings

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import Tensor

WEIGHTS = "model.safetensors"
CONFIG = "config.json"

# What `Decoder` computes; a model that differs in any of these is another function.
ARCHITECTURE = {
    "model_type": "qwen2",
    "hidden_act": "silu",
    "rms_norm_eps": RMS_NORM_EPS,
    "rope_theta": ROPE_THETA,
    "tie_word_embeddings": True,
    "use_sliding_window": False,
}


def save_model(folder: Path, model: Decoder, *, max_positions: int, bos: int, eos: int) -> None:
    """Write ``config.json`` and ``model.safetensors``; ``Qwen2ForCausalLM`` opens the folder.

    Parameters
    ----------
    folder
        Made if missing. The weights are written last: their presence means the folder is whole.
    model
        The policy.
    max_positions
        Longest sequence the model is meant for.
    bos, eos
        Token ids that begin and end a sequence.
    """
    config = {
        "architectures": ["Qwen2ForCausalLM"],
        **ARCHITECTURE,
        **model.config.model_dump(),
        "vocab_size": model.vocab_size,
        "max_position_embeddings": max_positions,
        "bos_token_id": bos,
        "eos_token_id": eos,
        "dtype": "float32",
    }
    make_folder(folder)
    write_text(folder / CONFIG, json.dumps(config, indent=2) + "\n")
    _save_tensors(folder / WEIGHTS, model.state_dict(), {"format": "pt"})


def load_model(folder: Path, device: torch.device | str = "cpu") -> Decoder:
    """Open a folder written by `save_model` (or by ``Qwen2ForCausalLM`` with tied embeddings).

    Raises
    ------
    RunError
        If a file is missing or corrupt, or does not fit the configuration.
    """
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        _check_architecture(config)
        sizes = {name: config[name] for name in ModelSettings.model_fields}
        model = Decoder(ModelSettings.model_validate(sizes), config["vocab_size"])
        model.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
        raise RunError(
            f"{folder}: not a model this program can open ({_first_line(error)}); "
            "if a run made it, delete the folder and run again"
        ) from error
    return model.to(device)


def save_state(
    path: Path, model: Decoder, optimizer: torch.optim.Optimizer, step: int, label: str
) -> None:
    """Write weights, optimiser moments and the step in one file, atomically.

    ``label`` names what is being trained; `load_state` refuses another's state.
    """
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state[parameter].items():
            tensors[f"optimizer.{key}.{name}"] = value
    # One entry of metadata: the format writes several in no fixed order.
    _save_tensors(path, tensors, {"training": json.dumps({"step": step, "label": label})})


def load_state(
    path: Path, model: Decoder, optimizer: torch.optim.Optimizer, label: str
) -> int | None:
    """Restore what `save_state` wrote; return the step, or None if there is no file.

    Raises
    ------
    RunError
        If the file is corrupt or belongs to another training.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            training = json.loads((file.metadata() or {})["training"])
        tensors = load_file(path)
        if training["label"] != label:
            raise RunError(
                f"{path}: the state of {training['label']!r}, not of {label!r}; move it away"
            )
        step = int(training["step"])
        weights = {
            n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")
        }
        model.load_state_dict(weights)
        fused = bool(optimizer.defaults["fused"])
        for name, parameter in model.named_parameters():
            optimizer.state[parameter] = {
                key: _like(tensors[f"optimizer.{key}.{name}"], parameter, key, fused)
                for key in ("step", "exp_avg", "exp_avg_sq")
            }
    except RunError:
        raise
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
        raise RunError(
            f"{path}: corrupt training state ({_first_line(error)}); "
            "delete this file to train this arm again from its start"
        ) from error
    return step


def _check_architecture(config: dict[str, Any]) -> None:
    """Refuse a configuration under which the same weights mean another function."""
    if not isinstance(config, dict):
        raise TypeError(f"{CONFIG} holds no object")
    rope = config.get("rope_parameters") or {}
    given = {**config, "rope_theta": rope.get("rope_theta", config.get("rope_theta"))}
    if rope.get("rope_type", "default") != "default":
        raise ValueError(f"its rope_type is {rope['rope_type']!r}; only the default is computed")
    for name, value in ARCHITECTURE.items():
        if given.get(name, value) != value:
            raise ValueError(f"its {name} is {given[name]!r}; only {value!r} is computed")


def _like(value: Tensor, parameter: Tensor, key: str, fused: bool) -> Tensor:
    """Place a part of AdamW's state beside its parameter; counts only if AdamW is fused."""
    return value if key == "step" and not fused else value.to(parameter.device)


def _save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    temporary = path.with_name(path.name + ".tmp")
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        save_file(contiguous, temporary, metadata=metadata)
        replace_file(temporary, path)
    except (OSError, SafetensorError) as error:
        with suppress(OSError):
            temporary.unlink()
        raise RunError(f"{path}: could not be written ({_first_line(error)})") from error


def _first_line(error: Any) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
