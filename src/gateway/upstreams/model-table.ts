import type { GatewayConfig, ModelPrice, Target } from '../../schemas/gateway-config';
import { durationMs } from '../../schemas/duration';
import type { Upstream } from './upstream';

/** One way to answer for a model name. */
export interface ModelTarget {
  readonly upstream: Upstream;
  /** What the model is called there. */
  readonly model: string;
  /** null where the configuration does not say it. */
  readonly price: ModelPrice | null;
  /** Its share of the sessions, beside the other targets' weights. */
  readonly weight: number;
}

/** Which model names of the configuration are answered by upstreams, and by which, and which by a policy. */
export interface ModelTable {
  /** All of them. */
  readonly names: readonly string[];
  /** Which of them is asked is up to ask-upstream.ts; null if no upstream answers for the name. */
  targets(model: string): readonly [ModelTarget, ...ModelTarget[]] | null;
  /** The policy that answers under this name; null if none does. */
  policy(model: string): string | null;
}

/** @param keys by upstream: the API keys that the configuration refers to. */
export function createModelTable(
  { upstreams, models, policies }: GatewayConfig,
  keys: ReadonlyMap<string, string>,
): ModelTable {
  const byName = new Map(
    Object.entries(upstreams).map(([name, { url, protocols, tokenIds, timeouts }]) => {
      const upstream: Upstream = {
        ...{ name, url, protocols, tokenIds, key: keys.get(name) ?? null },
        timeouts: {
          connect: durationMs(timeouts.connect),
          firstByte: durationMs(timeouts.firstByte),
          idle: durationMs(timeouts.idle),
        },
      };
      return [name, upstream] as const;
    }),
  );
  const toTarget = (alias: string, { upstream, model = alias, weight }: Target): ModelTarget => ({
    upstream: byName.get(upstream) as Upstream, // the schema says that there is one
    model,
    weight,
    price: upstreams[upstream]?.prices[model] ?? null,
  });
  const table = new Map(
    Object.entries(models).map(([alias, targets]) => [
      alias,
      targets.map((target) => toTarget(alias, target)),
    ]),
  );
  const aliases = new Map(Object.entries(policies));
  return {
    names: [...table.keys(), ...aliases.keys()],
    policy: (model) => aliases.get(model) ?? null,
    targets: (model) => (table.get(model) as [ModelTarget, ...ModelTarget[]] | undefined) ?? null,
  };
}

/** The upstreams that answer for any model, sorted. */
export function upstreamNames(models: ModelTable): readonly string[] {
  const targets = models.names.flatMap((model) => models.targets(model) ?? []);
  return [...new Set(targets.map(({ upstream }) => upstream.name))].sort();
}
