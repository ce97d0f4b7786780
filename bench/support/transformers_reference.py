"""The same work in PyTorch, for comparison: a process that takes one JSON command per line and answers with one JSON line each.

    {"cmd": "train", "model": {…}, "sequences": [[tokens], …], "compiled": false}   builds a model and its step; answers {"params"}
    {"cmd": "steps", "n": 5}                                                         answers {"ms": [each step]}
    {"cmd": "generate", "model": {…}, "batch": 64, "prompt": 128, "new": 128, "n": 3} answers {"ms": [each run]}
    {"cmd": "rss"}                                                                   answers {"peakRssMb"}

A transformers Llama in float32 with scaled-dot-product attention, fused AdamW, gradients clipped to norm 1; sequences of one length are one
batch, others are padded on the right, with no loss on the padding. Model keys are those of transformers' LlamaConfig.
"""

import json
import resource
import sys
import time

import torch
from transformers import LlamaConfig, LlamaForCausalLM

step = None


def build(settings):
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**settings, attn_implementation="sdpa"))


def train(command):
    global step
    model = build(command["model"])
    sequences, trained = command["sequences"], command["trained"]
    length = max(map(len, sequences))
    ids = torch.zeros(len(sequences), length, dtype=torch.long)
    labels = torch.full((len(sequences), length), -100)
    attention = torch.zeros(len(sequences), length, dtype=torch.long)
    for i, (tokens, mask) in enumerate(zip(sequences, trained)):
        ids[i, : len(tokens)] = torch.tensor(tokens)
        labels[i, : len(tokens)] = torch.where(torch.tensor(mask) == 1, torch.tensor(tokens), -100)
        attention[i, : len(tokens)] = 1
    padded = bool((attention == 0).any())
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    forward = torch.compile(model) if command["compiled"] else model

    def one():
        loss = forward(input_ids=ids, labels=labels, use_cache=False, **({"attention_mask": attention} if padded else {})).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    one()
    step = one
    return {"params": sum(p.numel() for p in model.parameters()), "loss": one()}


def timed(work, n):
    times = []
    for _ in range(n):
        begin = time.perf_counter()
        work()
        times.append((time.perf_counter() - begin) * 1000)
    return {"ms": times}


def generate(command):
    model = build(command["model"]).eval()
    ids = torch.randint(3, command["model"]["vocab_size"], (command["batch"], command["prompt"]))
    new = command["new"]

    def one():
        with torch.inference_mode():
            model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=new, min_new_tokens=new, do_sample=True, top_k=0, pad_token_id=0)

    one()
    return timed(one, command["n"])


def answer(command):
    match command["cmd"]:
        case "train":
            return train(command)
        case "steps":
            return timed(step, command["n"])
        case "generate":
            return generate(command)
        case "rss":
            return {"peakRssMb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    raise ValueError(f"no such command: {command['cmd']}")


torch.set_num_threads(int(sys.argv[1]))
for line in sys.stdin:
    try:
        reply = answer(json.loads(line))
    except Exception as error:  # told to whoever asked, who decides
        reply = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(reply), flush=True)
