"""PyTorch and transformers as benchmarks compare with them: a process that answers JSON lines until its input ends.

    {"cmd": "train", "hidden": 128, "layers": 4, "heads": 4, "kvHeads": 4, "intermediate": 384, "vocab": 2048,
     "sequences": [512, 512], "compiled": false, "steps": 5, "threads": 2}
        -> {"ms": [...], "peakRssMb": ..., "params": ..., "layout": "...", "optimizer": "...", "trials": {...}}
    {"cmd": "generate", "hidden": ..., "batch": 64, "prompt": 128, "new": 128, "runs": 3, "threads": 2}
        -> {"ms": [...], "tokensPerSecond": ..., "peakRssMb": ..., "params": ..., "cache": "...", "trials": {...}}
    anything that fails -> {"error": "..."}

Optional: "threads" (PyTorch's default), "tied" (true), "maxGradNorm" (no clipping), "runs" (3), and "layouts": those of "padded", "split"
and "flattened" to choose from (all; with "compiled", each costs a compilation of up to a minute).

What was built and chosen for a command is kept until a command with another model or batch comes, so that repeated commands, interleaved
with something else's runs, only cost their steps. Who compares eager with compiled in turns starts two of these.

peakRssMb is the largest resident size, Python and libraries included, since the choice was made: trials do not count. Where the system
cannot reset its peak (it is not Linux) it is the largest of the process's life.
"""

import ctypes
import gc
import json
import os
import sys
from typing import Any, Callable

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # no pool of compilers beside the process that is measured
# Libraries print where they like; only answers may reach the reader.
ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

import torch  # noqa: E402
from transformers import LlamaConfig  # noqa: E402
from transformers.utils import logging  # noqa: E402

from transformers_generation import Generation  # noqa: E402
from transformers_training import Training  # noqa: E402

MODEL_NEEDS = ("hidden", "layers", "heads", "kvHeads", "intermediate", "vocab")
MEASURED = {"train": Training, "generate": Generation}
kept: dict[str, Any] = {}  # at most one: the key of its settings, and what was built for them


def model_config(command: dict[str, Any], positions: int) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=command["vocab"],
        hidden_size=command["hidden"],
        intermediate_size=command["intermediate"],
        num_hidden_layers=command["layers"],
        num_attention_heads=command["heads"],
        num_key_value_heads=command["kvHeads"],
        max_position_embeddings=positions,
        tie_word_embeddings=command.get("tied", True),
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
    )


def answer(command: Any) -> dict[str, Any]:
    if not isinstance(command, dict) or command.get("cmd") not in MEASURED:
        raise ValueError(f"expected an object whose cmd is one of {', '.join(MEASURED)}, got {json.dumps(command)[:200]}")
    measured = MEASURED[command["cmd"]]
    missing = [key for key in (*MODEL_NEEDS, *measured.NEEDS) if key not in command]
    if missing:
        raise ValueError(f"{command['cmd']} also needs {', '.join(missing)}")
    if "threads" in command:
        torch.set_num_threads(command["threads"])
    settings = json.dumps(command | dict(steps=None, runs=None), sort_keys=True)
    if settings not in kept:
        kept.clear()
        torch._dynamo.reset()
        torch.manual_seed(0)
        built = measured(model_config(command, measured.positions(command)), command)
        release_memory()
        built.measure(command | dict(steps=1, runs=1))  # takes again what was given back
        kept[settings] = built
    return kept[settings].measure(command) | {"peakRssMb": peak_rss_mb()}


def release_memory() -> None:
    """Gives back what trials left behind, and starts the peak anew (proc(5), clear_refs)."""
    gc.collect()
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "malloc_trim"):  # glibc's
            libc.malloc_trim(0)
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")


def peak_rss_mb() -> float:
    if sys.platform == "linux":
        with open("/proc/self/status") as file:
            peak = next(line for line in file if line.startswith("VmHWM:"))
        return int(peak.split()[1]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # bytes, on macOS


def reply_to(line: str, respond: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    try:
        return respond(json.loads(line))
    except Exception as error:  # told to who asked; the next command may well work
        kept.clear()
        return {"error": f"{type(error).__name__}: {error}"}


def main() -> None:
    logging.set_verbosity_error()
    for line in sys.stdin:
        if line.strip():
            print(json.dumps(reply_to(line, answer)), file=ANSWERS, flush=True)


if __name__ == "__main__":
    main()
