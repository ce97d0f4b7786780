"""`transformers.generate` of a batch of equally long prompts, greedy, with whichever cache is faster."""

from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from transformers_training import timed

CACHES = ("dynamic", "static")


class Generation:
    NEEDS = ("batch", "prompt", "new")

    @staticmethod
    def positions(command: dict[str, Any]) -> int:
        return command["prompt"] + command["new"]

    def __init__(self, config: LlamaConfig, command: dict[str, Any]) -> None:
        self.command = command
        self.model = LlamaForCausalLM._from_config(config, attn_implementation="sdpa").eval()
        random = torch.Generator().manual_seed(1)
        self.ids = torch.randint(1, config.vocab_size, (command["batch"], command["prompt"]), generator=random)
        self.generate(CACHES[0], new=2)  # what the first call of all allocates is nobody's time
        self.trials = {cache: timed(lambda: self.generate(cache, command["new"])) for cache in CACHES}
        self.cache = min(self.trials, key=self.trials.__getitem__)

    @torch.inference_mode()
    def generate(self, cache: str, new: int) -> None:
        output = self.model.generate(
            self.ids,
            attention_mask=torch.ones_like(self.ids),
            max_new_tokens=new,
            min_new_tokens=new,
            do_sample=False,
            cache_implementation=cache,
        )
        if output.shape[1] != self.ids.shape[1] + new:
            raise RuntimeError(f"expected {new} new tokens, got {output.shape[1] - self.ids.shape[1]}")

    def measure(self, command: dict[str, Any]) -> dict[str, Any]:
        """tokensPerSecond counts new tokens of all rows, over the fastest run: prefill is in its time."""
        ms = [timed(lambda: self.generate(self.cache, command["new"])) for _ in range(command.get("runs", 3))]
        return dict(
            ms=ms,
            tokensPerSecond=command["batch"] * command["new"] / (min(ms) / 1000),
            params=sum(parameter.numel() for parameter in self.model.parameters()),
            cache=self.cache,
            trials=self.trials,
        )
