"""One AdamW step of a transformers Llama in float32, batched and optimized the way that PyTorch does fastest."""

import time
from itertools import groupby
from typing import Any, Callable

import torch
import torch.nn.functional as F
from torch.optim import AdamW
from transformers import AttentionInterface, LlamaConfig, LlamaForCausalLM

IGNORED = -100  # transformers' label for what is no target
TRIAL_STEPS = 3

Inputs = dict[str, Any]  # what the model is called with


def padded(sequences: list[torch.Tensor]) -> Inputs:
    """[B, longest]. Padding stands to the right, where causal attention never looks: it needs no mask, so the fast kernel runs."""
    longest = max(len(sequence) for sequence in sequences)
    rows = [F.pad(sequence, (0, longest - len(sequence))) for sequence in sequences]
    labels = [F.pad(sequence, (0, longest - len(sequence)), value=IGNORED) for sequence in sequences]
    return dict(input_ids=torch.stack(rows), labels=torch.stack(labels))


def flattened(sequences: list[torch.Tensor]) -> Inputs:
    """[1, total], attention within each sequence by one dense block-diagonal mask, which transformers makes from the positions."""
    labels = [F.pad(sequence[1:], (1, 0), value=IGNORED) for sequence in sequences]
    positions = torch.cat([torch.arange(len(sequence)) for sequence in sequences])
    ids = torch.cat(sequences)
    return dict(input_ids=ids[None], labels=torch.cat(labels)[None], position_ids=positions[None])


def split(sequences: list[torch.Tensor]) -> Inputs:
    """[1, total], attention by one call of the fast kernel for each run of equally long sequences."""
    lengths = [len(sequence) for sequence in sequences]
    runs = tuple((length, len(list(group))) for length, group in groupby(lengths))
    return flattened(sequences) | dict(sequence_runs=runs)


def split_attention(module, query, key, value, attention_mask, scaling=None, sequence_runs=(), **_):
    """query [1, H, T, D]; key, value [1, Hkv, T, D] -> [1, T, H, D]."""
    outputs, start = [], 0
    for length, count in sequence_runs:

        def blocks(states: torch.Tensor) -> torch.Tensor:  # [count, heads, length, D]
            run = states[0, :, start : start + length * count]
            return run.unflatten(1, (count, length)).transpose(0, 1)

        q, k, v = blocks(query), blocks(key), blocks(value)
        output = F.scaled_dot_product_attention(
            q, k, v, is_causal=True, scale=scaling, enable_gqa=module.num_key_value_groups > 1
        )
        outputs.append(output.transpose(1, 2).flatten(0, 1))
        start += length * count
    return torch.cat(outputs)[None], None


AttentionInterface.register("split", split_attention)
LAYOUTS: dict[str, tuple[Callable[[list[torch.Tensor]], Inputs], str]] = {
    "padded": (padded, "sdpa"),
    "split": (split, "split"),
    "flattened": (flattened, "sdpa"),
}
OPTIMIZERS = {"fused": dict(fused=True), "foreach": dict(foreach=True)}


class Training:
    NEEDS = ("sequences", "compiled", "steps")

    @staticmethod
    def positions(command: dict[str, Any]) -> int:
        if min(command["sequences"], default=0) < 2:
            raise ValueError(f"expected sequences of 2 tokens or more each, got lengths {command['sequences']}")
        return max(command["sequences"])

    def __init__(self, config: LlamaConfig, command: dict[str, Any]) -> None:
        self.config, self.command = config, command
        random = torch.Generator().manual_seed(1)
        # Longest first: equal lengths stand together, and a mean over all tokens does not know the order.
        lengths = sorted(command["sequences"], reverse=True)
        self.sequences = [torch.randint(config.vocab_size, (length,), generator=random) for length in lengths]
        # Equally long sequences leave nothing to win over padding's layout, which then pads nothing.
        layouts = command.get("layouts", list(LAYOUTS) if lengths[0] != lengths[-1] else ["padded"])
        unknown = set(layouts) - set(LAYOUTS)
        if unknown or not layouts:
            raise ValueError(f"expected layouts of {', '.join(LAYOUTS)}, got {layouts}")
        self.trials: dict[str, float] = {}
        self.try_out(layouts[0], "fused")
        self.try_out(layouts[0], "foreach")
        _, faster = self.best()
        for layout in layouts[1:]:
            self.try_out(layout, faster)
        self.layout, self.optimizer = self.best()
        self.step = self.build(self.layout, self.optimizer)

    def try_out(self, layout: str, optimizer: str) -> None:
        step = self.build(layout, optimizer)
        self.trials[f"{layout}, {optimizer}"] = min(timed(step) for _ in range(TRIAL_STEPS))

    def best(self) -> list[str]:
        """The fastest layout and optimizer so far."""
        return min(self.trials, key=self.trials.__getitem__).split(", ")

    def build(self, layout: str, optimizer: str) -> Callable[[], None]:
        """A new model and its step, which has run twice: the first compiles and allocates, AdamW's state appears in it."""
        to_inputs, attention = LAYOUTS[layout]
        inputs = to_inputs(self.sequences)
        torch.manual_seed(0)
        model = LlamaForCausalLM._from_config(self.config, attn_implementation=attention).train()
        self.params = sum(parameter.numel() for parameter in model.parameters())
        adamw = AdamW(model.parameters(), lr=1e-4, weight_decay=0.1, **OPTIMIZERS[optimizer])
        torch._dynamo.reset()
        forward = torch.compile(model) if self.command["compiled"] else model
        max_norm = self.command.get("maxGradNorm")

        def step() -> None:
            adamw.zero_grad(set_to_none=True)
            forward(**inputs, use_cache=False).loss.backward()
            if max_norm is not None:
                torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)
            adamw.step()

        step()
        step()
        return step

    def measure(self, command: dict[str, Any]) -> dict[str, Any]:
        return dict(
            ms=[timed(self.step) for _ in range(command["steps"])],
            params=self.params,
            layout=self.layout,
            optimizer=self.optimizer,
            trials=self.trials,
        )


def timed(step: Callable[[], Any]) -> float:
    """Milliseconds."""
    start = time.perf_counter()
    step()
    return (time.perf_counter() - start) * 1000
