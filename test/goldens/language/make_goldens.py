"""Makes the models in models/: tiny random decoders with what PyTorch, transformers and peft say of them.

The tests only read what this wrote; they need no Python. To make it again:

    python -m venv venv && venv/bin/pip install torch transformers peft safetensors
    venv/bin/python make_goldens.py

The committed files were made with torch 2.15.0, transformers 5.24.0 and peft 0.21.2. Everything is computed in float64 from float32 weights
and stored as float32. Per model:

    config.json, model.safetensors   as save_pretrained writes them
    golden.safetensors               input_ids, loss_mask [B, T]; logits [B, T, V]; grad.<parameter>; lora.logits, lora.grad.<adapter tensor>
    golden.json                      loss; the losses of 20 AdamW steps; greedy generations; the same with the LoRA adapter
    adapter/                         a PEFT adapter with random A and B
"""

import json
import math
import shutil
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config, Qwen3Config

ROOT = Path(__file__).parent / "models"
VOCAB, BATCH, LENGTH, STEPS, NEW = 96, 2, 24, 20, 32
torch.manual_seed(0)
torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)

BASE = dict(vocab_size=VOCAB, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
            max_position_embeddings=64, bos_token_id=1, eos_token_id=2, pad_token_id=0, rms_norm_eps=1e-5)

MODELS = {
    "llama2": LlamaConfig(**BASE, num_key_value_heads=4, tie_word_embeddings=False),
    "llama3": LlamaConfig(**BASE, num_key_value_heads=2, tie_word_embeddings=True, rope_parameters=dict(
        rope_type="llama3", rope_theta=5000.0, factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
        original_max_position_embeddings=16)),
    "llama-biased": LlamaConfig(**BASE, num_key_value_heads=2, tie_word_embeddings=False, attention_bias=True, mlp_bias=True,
                                rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=2.0)),
    "qwen2": Qwen2Config(**BASE, num_key_value_heads=2, tie_word_embeddings=True),
    "qwen2-yarn": Qwen2Config(**BASE, num_key_value_heads=1, tie_word_embeddings=False, rope_parameters=dict(
        rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=16)),
    "qwen3": Qwen3Config(**{**BASE, "hidden_size": 40}, num_key_value_heads=2, head_dim=16, tie_word_embeddings=True),
}

ADAPTERS = {
    "llama2": dict(target_modules=["q_proj", "v_proj"]),
    "llama3": dict(target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"], use_rslora=True),
    "qwen2": dict(target_modules="all-linear"),
}


def randomize(model):
    """Weights that make clear differences: norms off 1, biases off 0, attention that is not uniform."""
    generator = torch.Generator().manual_seed(len(list(model.parameters())) + model.config.hidden_size)
    for name, p in model.named_parameters():
        draw = torch.randn(p.shape, generator=generator)
        with torch.no_grad():
            if name.endswith("norm.weight"):
                p.copy_(1 + 0.2 * draw)
            elif p.dim() == 1:
                p.copy_(0.1 * draw)
            elif "embed" in name or "lm_head" in name:
                p.copy_(0.4 * draw)
            else:
                p.copy_(draw * 1.5 / math.sqrt(p.shape[1]))


def batch():
    generator = torch.Generator().manual_seed(7)
    ids = torch.randint(3, VOCAB, (BATCH, LENGTH), generator=generator)
    mask = (torch.rand(BATCH, LENGTH, generator=generator) < 0.6).double()
    mask[:, 0] = 0  # nothing predicts the first token
    return ids, mask


def loss_of(model, ids, mask):
    logits = model(input_ids=ids, use_cache=False).logits
    log_probs = torch.log_softmax(logits[:, :-1], -1).gather(-1, ids[:, 1:, None])[..., 0]
    return logits, -(log_probs * mask[:, 1:]).sum() / mask[:, 1:].sum()


def adamw_losses(model, named, ids, mask, settings):
    decayed = [p for n, p in named if n in settings["decayed"]]
    rest = [p for n, p in named if n not in settings["decayed"]]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": settings["weightDecay"]}, {"params": rest, "weight_decay": 0.0}],
        lr=settings["learningRate"], betas=(settings["beta1"], settings["beta2"]), eps=settings["epsilon"])
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        _, loss = loss_of(model, ids, mask)
        losses.append(loss.item())
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for _, p in named], settings["maxGradNorm"])
        optimizer.step()
    return losses


def greedy(model, prompt):
    ids, margin = list(prompt), math.inf
    for _ in range(NEW):
        top = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].topk(2).values
        margin = min(margin, (top[0] - top[1]).item())
        ids.append(model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax().item())
    return ids[len(prompt):], margin


def float64(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").double()


def make(name, config):
    folder = ROOT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    randomize(model)
    model.save_pretrained(folder)
    ids, mask = batch()

    model = float64(folder)
    logits, loss = loss_of(model, ids, mask)
    loss.backward()
    tensors = {"input_ids": ids, "loss_mask": mask.float(), "logits": logits.detach().float()}
    norms = {}
    for n, p in model.named_parameters():
        tensors[f"grad.{n}"] = p.grad.float()
        norms[n] = p.grad.square().sum().item()
    golden = {"loss": loss.item(), "gradientSquares": norms, "gradNorm": math.sqrt(sum(norms.values()))}

    with torch.no_grad():
        golden["greedy"] = []
        for seed, size in enumerate([1, 5, 11]):
            for attempt in range(20):
                generator = torch.Generator().manual_seed(100 * seed + attempt)
                prompt = torch.randint(3, VOCAB, (size,), generator=generator).tolist()
                generated, margin = greedy(model, prompt)
                if margin > 1e-3:
                    break
            else:
                raise SystemExit(f"{name}: no prompt of {size} tokens has clear choices")
            golden["greedy"].append({"prompt": prompt, "generated": generated})

    settings = dict(learningRate=3e-3, beta1=0.9, beta2=0.95, epsilon=1e-8, weightDecay=0.1, maxGradNorm=1.0)
    named = list(model.named_parameters())
    settings["decayed"] = [n for n, p in named if p.dim() == 2]
    golden["adamw"] = {**settings, "losses": adamw_losses(model, named, ids, mask, settings)}

    if name in ADAPTERS:
        adapter = get_peft_model(float64(folder), LoraConfig(
            r=4, lora_alpha=8, lora_dropout=0.0, bias="none", task_type="CAUSAL_LM", **ADAPTERS[name]))
        generator = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for _, p in adapter.named_parameters():
                if p.requires_grad:
                    p.copy_((torch.randn(p.shape, generator=generator) * 0.2).float().double())
        adapter.float().save_pretrained(folder / "adapter")
        (folder / "adapter" / "README.md").unlink(missing_ok=True)
        written = folder / "adapter" / "adapter_config.json"
        settings_written = json.loads(written.read_text())  # without the place of the model here, and the order of a set
        settings_written["base_model_name_or_path"] = name
        settings_written["target_modules"] = sorted(settings_written["target_modules"])
        written.write_text(json.dumps(settings_written, indent=2) + "\n")
        adapter.double()
        logits, loss = loss_of(adapter, ids, mask)
        loss.backward()
        tensors["lora.logits"] = logits.detach().float()
        trained = [(n.replace(".default", ""), p) for n, p in adapter.named_parameters() if p.requires_grad]
        assert sorted(n for n, _ in trained) == sorted(load_file(folder / "adapter" / "adapter_model.safetensors"))
        for n, p in trained:
            tensors[f"lora.grad.{n}"] = p.grad.float()
        golden["loraLoss"] = loss.item()
        lora_settings = {**settings, "learningRate": 2e-3, "decayed": [n for n, _ in trained]}
        golden["loraAdamw"] = {**lora_settings, "losses": adamw_losses(adapter, trained, ids, mask, lora_settings)}

    save_file({n: t.contiguous() for n, t in tensors.items()}, folder / "golden.safetensors")
    (folder / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    first, last = golden["adamw"]["losses"][0], golden["adamw"]["losses"][-1]
    print(f"{name}: loss {first:.4f} -> {last:.4f}, {size / 1024:.0f} KiB")


def make_sharded():
    """qwen2 in bfloat16 over three shards, with the logits of the rounded weights."""
    folder = ROOT / "sharded-bf16"
    shutil.rmtree(folder, ignore_errors=True)
    model = AutoModelForCausalLM.from_pretrained(ROOT / "qwen2", dtype=torch.bfloat16)
    model.save_pretrained(folder, max_shard_size="16KB")
    ids, mask = batch()
    with torch.no_grad():
        logits, _ = loss_of(float64(folder), ids, mask)
    save_file({"input_ids": ids, "logits": logits.float()}, folder / "golden.safetensors")
    print("sharded-bf16:", sorted(f.name for f in folder.glob("model*")))


if __name__ == "__main__":
    for model_name, model_config in MODELS.items():
        make(model_name, model_config)
    make_sharded()
