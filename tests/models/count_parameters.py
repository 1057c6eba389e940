"""Counts the parameters of checkpoints without Ridge: transformers builds each model on the "meta"
device, where a tensor has a shape and no memory.

Run by hand, with PyPI's torch and transformers:

    python3 tests/models/count_parameters.py NAME=config.json ... > counts.json

"total" counts every parameter of the language model once (tied embeddings once); "routed" are those
of routed experts. Multi-token prediction and other modalities are left out, as publishers do.
tests/models/data/parameters.json holds the counts.
"""

import json
import sys

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM

# Parts of a multimodal model, and what drafts, that are no part of the language model.
OUTSIDE = ("visual", "vision", "audio", "multi_modal_projector", "mtp.", "embed_vision", "embed_audio")
# Families that transformers knows by another name.
ALIASES = {"kimi_k2": "deepseek_v3", "ernie_moe": "ernie4_5_moe", "minimax_m1": "minimax"}


def language_config(raw):
    for key in ("text_config", "llm_config", "language_config", "thinker_config"):
        if isinstance(raw.get(key), dict):
            return language_config(raw[key])
    return raw


def build(raw):
    # As a whole, or the language model alone.
    for attempt in (raw, language_config(raw)):
        attempt = {k: v for k, v in attempt.items()
                   if k not in ("quantization_config", "auto_map") and not k.startswith("_")}
        try:
            kind = ALIASES.get(attempt["model_type"], attempt["model_type"])
            config = AutoConfig.for_model(kind, **{k: v for k, v in attempt.items() if k != "model_type"})
            with torch.device("meta"):
                try:
                    return AutoModelForCausalLM.from_config(config)
                except ValueError:
                    from transformers import AutoModelForImageTextToText
                    return AutoModelForImageTextToText.from_config(config)
        except Exception as error:  # the next way may do
            last = error
    raise last


def count(raw):
    model = build(raw)
    seen = set()
    total = embedding = routed = 0
    for name, tensor in model.named_parameters(remove_duplicate=False):
        if any(part in name for part in OUTSIDE):
            continue
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        total += tensor.numel()
        if "experts." in name and "shared" not in name:
            routed += tensor.numel()
        if ("embed_tokens" in name or "embeddings." in name) and "per_layer" not in name:
            embedding += tensor.numel()
    return {"total": total, "embedding": embedding, "routed": routed}


def main():
    out = {}
    for argument in sys.argv[1:]:
        name, path = argument.split("=", 1)
        with open(path, encoding="utf-8") as file:
            raw = json.load(file)
        try:
            out[name] = count(raw)
        except Exception as error:  # noqa: BLE001
            out[name] = {"failed": f"{type(error).__name__}: {str(error)[:200]}"}
        print(name, out[name], file=sys.stderr, flush=True)
    print(json.dumps({"transformers": transformers.__version__, "counts": out}, indent=1))


if __name__ == "__main__":
    main()
