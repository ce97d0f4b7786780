"""Losses, advantages and gradients of each algorithm and option, by PyTorch's autograd in float64, from their papers' formulas.

    python3 make_algorithm_goldens.py        # needs torch; writes goldens.json beside itself

The tests read goldens.json and do not need this script. A batch is two tasks of three episodes; an episode is one path of tokens, of which the policy wrote
some (mask 1): the last episode of each task in two turns, with an answer of a tool between them.
"""

import json
import math
from pathlib import Path

import torch

torch.manual_seed(7)
V, D = 6, 4
F64 = torch.float64

MASKS = [
    [0, 0, 1, 1, 1],
    [0, 1, 1],
    [0, 0, 1, 1, 0, 0, 1, 1, 1],
    [0, 1, 1, 1],
    [0, 0, 0, 1],
    [0, 1, 1, 0, 1, 1],
]
REWARDS = [1.0, 0.0, 0.5, 0.0, 1.0, 0.25]
GROUPS = [[0, 1, 2], [3, 4, 5]]


def steps_of(mask):
    """Which decision a token is of: a new one begins where sampling begins again."""
    step, steps, before = -1, [], 0
    for m in mask:
        step += 1 if m and not before else 0
        steps.append(max(step, 0))
        before = m
    return steps


class Batch:
    def __init__(self):
        self.episodes = []
        for mask in MASKS:
            n = len(mask)
            logits = torch.randn(n, V, dtype=F64)
            tokens = torch.randint(0, V, (n,))
            own = torch.log_softmax(logits, -1)[range(n), tokens]
            self.episodes.append(
                {
                    "tokens": tokens,
                    "mask": torch.tensor(mask, dtype=F64),
                    "steps": steps_of(mask),
                    "logits": logits,
                    "behavior": own + 0.35 * torch.randn(n, dtype=F64),
                    "current": own + 0.25 * torch.randn(n, dtype=F64),
                    "reference": own + 0.5 * torch.randn(n, dtype=F64),
                    "values": 0.5 * torch.randn(n, dtype=F64),
                    "hidden": torch.randn(n, D, dtype=F64),
                }
            )
        # One token has become more than four times as probable, and its episode earned less than the others: what dual clipping is for.
        self.episodes[1]["behavior"][1] -= 1.6
        self.weight = 0.3 * torch.randn(D, dtype=F64)
        self.bias = torch.tensor(0.1, dtype=F64)
        counts = [1 + max(e["steps"]) for e in self.episodes]
        self.step_rewards = [[round(math.sin(3 * i + k), 3) for k in range(c)] for i, c in enumerate(counts)]


def advantages_of(batch, config, per_step):
    """One tensor per episode, a value per token."""
    kind = config["algorithm"]
    rewards = torch.tensor(REWARDS, dtype=F64)
    overlong = config.get("objective", {}).get("overlong")
    if overlong:
        free = overlong["maxTokens"] - overlong["cacheTokens"]
        for i, e in enumerate(batch.episodes):
            length = int(e["mask"].sum())
            rewards[i] += -1.0 if length >= overlong["maxTokens"] else min(0.0, (free - length) / overlong["cacheTokens"])
    spread = lambda i, value: torch.tensor([value(s) for s in batch.episodes[i]["steps"]], dtype=F64)
    if kind == "reinforce":
        baseline = 0.0 if config.get("baseline", {}) is None else rewards.mean()
        return [spread(i, lambda s, r=r: r - baseline) for i, r in enumerate(rewards.tolist())]
    out = [None] * len(rewards)
    mode = "loo" if kind == "rloo" else config.get("advantage", "mean")
    if per_step:
        for group in GROUPS:
            flat = torch.tensor([r for i in group for r in batch.step_rewards[i]], dtype=F64)
            scale = flat.std(unbiased=True) + 1e-6 if mode == "std" else 1.0
            for i in group:
                normal = [(r - flat.mean()) / scale for r in batch.step_rewards[i]]
                out[i] = spread(i, lambda s, normal=normal: float(sum(normal[s:])))
        return out
    centered = {}
    for group in GROUPS:
        r = rewards[group]
        for k, i in enumerate(group):
            if mode == "loo":
                others = torch.cat([r[:k], r[k + 1 :]])
                centered[i] = r[k] - others.mean()
            else:
                centered[i] = r[k] - r.mean()
                if mode == "std":
                    centered[i] = centered[i] / (r.std(unbiased=True) + 1e-6)
    if mode == "batch-std":
        scale = torch.stack([centered[i] for i in sorted(centered)]).std(unbiased=True) + 1e-6
        centered = {i: a / scale for i, a in centered.items()}
    return [spread(i, lambda s, i=i: float(centered[i])) for i in range(len(rewards))]


def gae(batch, config):
    """Advantages (whitened where asked) and returns over the sampled tokens of each episode."""
    gamma, lam = config.get("discount", 1), config.get("lambda", 0.95)
    advantages, returns = [], []
    for i, e in enumerate(batch.episodes):
        actions = [t for t, m in enumerate(e["mask"].tolist()) if m]
        values = [float(e["values"][t]) for t in actions] + [0.0]
        n = len(actions)
        deltas = [(REWARDS[i] if k == n - 1 else 0.0) + gamma * values[k + 1] - values[k] for k in range(n)]
        a = [sum((gamma * lam) ** (j - k) * deltas[j] for j in range(k, n)) for k in range(n)]
        at, rt = torch.zeros(len(e["mask"]), dtype=F64), torch.zeros(len(e["mask"]), dtype=F64)
        for k, t in enumerate(actions):
            at[t], rt[t] = a[k], a[k] + values[k]
        advantages.append(at)
        returns.append(rt)
    if config.get("whiten", True):
        flat = torch.cat([a[e["mask"] > 0] for a, e in zip(advantages, batch.episodes)])
        advantages = [(a - flat.mean()) / (flat.std(unbiased=True) + 1e-8) for a in advantages]
    return advantages, returns


def run(batch, config, per_step=False):
    kind = config["algorithm"]
    objective = config.get("objective", {})
    logits = [e["logits"].clone().requires_grad_(True) for e in batch.episodes]
    weight, bias = batch.weight.clone().requires_grad_(True), batch.bias.clone().requires_grad_(True)
    log_all = [torch.log_softmax(x, -1) for x in logits]
    log_probs = [l[range(len(e["tokens"])), e["tokens"]] for l, e in zip(log_all, batch.episodes)]
    result = {}

    if kind in ("sft", "rejection-sampling"):
        chosen = list(range(len(batch.episodes)))
        if kind == "rejection-sampling":
            chosen = []
            for group in GROUPS:
                good = [i for i in group if REWARDS[i] >= config["minReward"]]
                chosen += sorted(good, key=lambda i: -REWARDS[i])[: config["perTask"]]
        top = -sum((log_probs[i] * batch.episodes[i]["mask"]).sum() for i in chosen)
        loss = top / sum(batch.episodes[i]["mask"].sum() for i in chosen)
    elif kind == "dpo":
        losses = []
        for group in GROUPS:
            ranked = sorted(group, key=lambda i: -REWARDS[i])
            w, l = ranked[0], ranked[-1]
            ratio = lambda i: ((log_probs[i] - batch.episodes[i]["reference"]) * batch.episodes[i]["mask"]).sum()
            m = config.get("beta", 0.1) * (ratio(w) - ratio(l))
            eps = config.get("labelSmoothing", 0)
            losses.append(-(1 - eps) * torch.nn.functional.logsigmoid(m) - eps * torch.nn.functional.logsigmoid(-m))
        loss = torch.stack(losses).mean()
    else:
        returns = None
        if kind == "ppo":
            advantages, returns = gae(batch, config)
            result["returns"] = [r.tolist() for r in returns]
        else:
            advantages = advantages_of(batch, config, per_step)
        result["advantages"] = [a.tolist() for a in advantages]
        surrogate = objective.get("surrogate", {"kind": "clip"})
        correction = objective.get("correction")
        aggregation = objective.get("aggregation", "token-mean")
        total, tokens, sequences = 0.0, 0.0, 0
        for i, e in enumerate(batch.episodes):
            mask, a, lp = e["mask"], advantages[i], log_probs[i]
            old = e["current"] if correction else e["behavior"]
            c = torch.ones_like(lp)
            if correction:
                mismatch = e["current"] - e["behavior"]
                product = math.exp(float((mismatch * mask).sum()))
                low, high = correction.get("sequenceRange", [0.5, 2]) or [0, math.inf]
                if not low <= product <= high:
                    continue
                c = mismatch.exp().clamp(max=correction.get("tokenCap", 2))
            log_ratio = lp - old
            token_ratio = log_ratio.exp()
            ratio = token_ratio
            if objective.get("ratio") == "sequence":
                ratio = ((log_ratio * mask).sum() / mask.sum()).exp().expand_as(lp)
            if surrogate["kind"] == "clip":
                low, high = surrogate.get("low", 0.2), surrogate.get("high", 0.28)
                dual = surrogate.get("dual", 3)
                s = torch.minimum(ratio * a, ratio.clamp(1 - low, 1 + high) * a)
                if dual is not None:
                    s = torch.where(a < 0, torch.maximum(s, dual * a), s)
                term = -s
            elif surrogate["kind"] == "cispo":
                term = -ratio.clamp(max=surrogate.get("bound", 5)).detach() * a * lp
            else:
                term = -a * lp
            term = c * term
            beta = objective.get("kl", 1e-3)
            if beta:
                d = e["reference"] - lp
                term = term + beta * token_ratio * (d.exp() - d - 1)
            alpha = objective.get("entropyBonus", 0)
            if alpha:
                term = term + alpha * (log_all[i].exp() * log_all[i]).sum(-1)
            if returns is not None:
                v = e["hidden"] @ weight + bias
                clip = config.get("valueClip", 0.2)
                error = (v - returns[i]) ** 2
                if clip is not None:
                    near = e["values"] + (v - e["values"]).clamp(-clip, clip)
                    error = torch.maximum(error, (near - returns[i]) ** 2)
                term = term + config.get("valueCoefficient", 0.5) * 0.5 * error
            summed = (term * mask).sum()
            total = total + (summed / mask.sum() if aggregation == "sequence-mean" else summed)
            tokens, sequences = tokens + mask.sum(), sequences + 1
        if aggregation == "token-mean":
            loss = total / tokens
        elif aggregation == "sequence-mean":
            loss = total / sequences
        else:
            loss = total / (sequences * aggregation["constant"])

    loss.backward()
    zero = lambda x: torch.zeros_like(x) if x.grad is None else x.grad
    result["loss"] = float(loss.detach())
    result["gradient"] = [zero(x).tolist() for x in logits]
    if kind == "ppo":
        result["valueGradient"] = zero(weight).tolist() + [float(zero(bias))]
    return result


def cases():
    plain = {"kl": 0}
    clip = lambda **changes: {"surrogate": {"kind": "clip", **changes}, "kl": 0}
    yield "sft", {"algorithm": "sft"}, False
    yield "rejection sampling, the best of each task", {"algorithm": "rejection-sampling", "minReward": 0.25, "perTask": 1}, False
    yield "rejection sampling, two of each task", {"algorithm": "rejection-sampling", "minReward": 0.25, "perTask": 2}, False
    yield "reinforce", {"algorithm": "reinforce", "objective": {"surrogate": {"kind": "reinforce"}, "kl": 0}}, False
    yield "reinforce without baseline", {"algorithm": "reinforce", "baseline": None, "objective": {"surrogate": {"kind": "reinforce"}, "kl": 0}}, False
    yield "rloo", {"algorithm": "rloo", "objective": plain}, False
    yield "grpo, mean only", {"algorithm": "grpo", "objective": plain}, False
    yield "grpo, std", {"algorithm": "grpo", "advantage": "std", "objective": plain}, False
    yield "grpo, std of the batch", {"algorithm": "grpo", "advantage": "batch-std", "objective": plain}, False
    yield "grpo as published", {"algorithm": "grpo", "advantage": "std", "objective": {**clip(low=0.2, high=0.2, dual=None), "aggregation": "sequence-mean", "kl": 0.04}}, False
    yield "Dr.GRPO", {"algorithm": "grpo", "objective": {"aggregation": {"constant": 8}, "kl": 0}}, False
    yield "clip-higher", {"algorithm": "grpo", "objective": clip(low=0.02, high=0.05)}, False
    yield "dual clip", {"algorithm": "grpo", "objective": clip(dual=1.1)}, False
    yield "no dual clip", {"algorithm": "grpo", "objective": clip(dual=None)}, False
    yield "GSPO", {"algorithm": "grpo", "objective": {**clip(low=0.03, high=0.04), "ratio": "sequence", "aggregation": "sequence-mean"}}, False
    yield "CISPO", {"algorithm": "grpo", "objective": {"surrogate": {"kind": "cispo", "bound": 1.1}, "kl": 0}}, False
    yield "KL to the reference", {"algorithm": "grpo", "objective": {"kl": 0.5}}, False
    yield "KL with GSPO", {"algorithm": "grpo", "objective": {**clip(low=0.03, high=0.04), "ratio": "sequence", "kl": 0.5}}, False
    yield "entropy bonus", {"algorithm": "grpo", "objective": {"entropyBonus": 0.3, "kl": 0}}, False
    yield "overlong penalty", {"algorithm": "grpo", "objective": {"overlong": {"maxTokens": 5, "cacheTokens": 3}, "kl": 0}}, False
    yield "token correction", {"algorithm": "grpo", "objective": {"correction": {"tokenCap": 1.1, "sequenceRange": None}, "kl": 0}}, False
    yield "sequence mask", {"algorithm": "grpo", "objective": {"correction": {"sequenceRange": [0.7, 1.3]}, "kl": 0}}, False
    yield "a reward per step", {"algorithm": "grpo", "objective": plain}, True
    yield "a reward per step, std", {"algorithm": "grpo", "advantage": "std", "objective": plain}, True
    yield "ppo", {"algorithm": "ppo"}, False
    yield "ppo, discounted", {"algorithm": "ppo", "discount": 0.9, "lambda": 0.8, "whiten": False}, False
    yield "ppo, values not clipped", {"algorithm": "ppo", "valueClip": None, "valueCoefficient": 1.5}, False
    yield "dpo", {"algorithm": "dpo"}, False
    yield "dpo, conservative", {"algorithm": "dpo", "beta": 0.5, "labelSmoothing": 0.1}, False


def main():
    batch = Batch()
    data = [
        {k: (v.tolist() if torch.is_tensor(v) else v) for k, v in e.items()} | {"reward": REWARDS[i], "stepRewards": batch.step_rewards[i]}
        for i, e in enumerate(batch.episodes)
    ]
    out = {
        "groups": GROUPS,
        "episodes": data,
        "valueHead": batch.weight.tolist() + [float(batch.bias)],
        "cases": [{"name": name, "config": config, "perStep": per_step, **run(batch, config, per_step)} for name, config, per_step in cases()],
    }
    rounded = json.loads(json.dumps(out), parse_float=lambda x: float(f"{float(x):.12g}"))
    Path(__file__).with_name("goldens.json").write_text(json.dumps(rounded) + "\n")
    print(f"{len(out['cases'])} cases")


main()
