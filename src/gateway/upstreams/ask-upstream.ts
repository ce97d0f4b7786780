import type { Pauses } from '../pauses';
import { isPaused } from '../pauses';
import { RequestError } from '../http/request-error';
import type { Protocol, ProtocolCall } from '../protocols/protocol';
import type { AskedUpstream, Attempt, AttemptOptions } from './attempt';
import { attempt } from './attempt';
import type { ModelTarget } from './model-table';
import { rendezvous } from './rendezvous';
import { backOffMs, retryRule } from './retry-rules';
import { targetId } from './upstream-health';
import { UpstreamError } from './upstream';
import type { Upstreams } from './upstreams';

export interface AskOptions extends Omit<AttemptOptions, 'over'> {
  readonly pauses: Pauses;
  /** Calls of the same key go to the same upstream, see sticky-key.ts. */
  readonly stickyKey: string;
  /** Told of an attempt that failed, where another one follows. */
  readonly onRetry: (error: string) => void;
}

type FailedAttempt = Exclude<Attempt, { readonly kind: 'answered' }>;

/** When a target that has failed may be asked again: milliseconds since 1970; never if null. */
type ReadyAt = number | null;

/**
 * Asks the upstreams that a model name stands for, one after the other, until one answers or nothing is left to try: the order is that of
 * rendezvous hashing, without those whose breaker is open, and those that asked us to wait come last. retry-rules.ts says what is tried
 * again, `retries` of the configuration how often and how long. Resolves before anything of the answer has reached the client, and
 * nothing is repeated after that.
 *
 * A call that goes on from an answer which only its upstream knows (`previousId`, or a piece of one) goes there and nowhere else: to the one that gave it, if
 * this process saw that; else to the first of its key, whatever its health, which is the same one where the client names its session.
 *
 * @throws {UpstreamError} the last failure; `unavailable` if every breaker is open.
 * @throws {RequestError} 400 if no upstream of the model speaks the protocol; 503 if all of them are paused.
 */
export async function askUpstream(
  upstreams: Upstreams,
  protocol: Protocol,
  call: ProtocolCall,
  targets: readonly [ModelTarget, ...ModelTarget[]],
  options: AskOptions,
): Promise<AskedUpstream> {
  const { health, retries, budget, clock } = upstreams;
  const candidates = inOrder(upstreams, protocol, call, targets, options);
  const tries = new Map<ModelTarget, { count: number; readyAt: ReadyAt }>();
  const giveUpAt = clock.now() + retries.patienceMs;
  const isAdmitted = ({ upstream }: ModelTarget): boolean => health.opensInMs(upstream.name) === 0;
  let last: FailedAttempt | null = null;
  budget.earn();

  for (let attempts = 0; attempts < retries.attempts; attempts++) {
    const rule = last === null ? null : retryRule(last.failure, retries.slow);
    if (rule !== null && !rule.other && !rule.same) break;
    let target = candidates.find((candidate) => !tries.has(candidate) && isAdmitted(candidate));
    let readyAt = clock.now();
    if (target === undefined) {
      [target, readyAt] = soonest(tries) ?? [undefined, readyAt];
      if (target === undefined || readyAt > giveUpAt) break;
    }
    if (rule !== null && rule.wasSeen && !budget.spend()) break;
    if (last !== null) options.onRetry(describe(last));
    const waitMs = readyAt - clock.now();
    if (waitMs > 0) await clock.sleep(waitMs, options.signal);

    const { upstream, model } = target;
    const sent = protocol.forUpstream(call, { model, tokenIds: upstream.tokenIds });
    if (!health.admit(upstream.name)) {
      tries.set(target, { count: 0, readyAt: null }); // it opened while we waited
      continue;
    }
    const over = health.asked(upstream.name, last !== null);
    const outcome = await attempt(upstreams, protocol, call, target, sent, { ...options, over });
    if (outcome.kind === 'answered') return outcome.asked;
    last = outcome;
    const count = (tries.get(target)?.count ?? 0) + 1;
    tries.set(target, { count, readyAt: readyAgainAt(upstreams, target, last, count) });
  }
  if (last?.kind === 'refused') return last.asked;
  if (last?.kind === 'failed') throw last.error;
  const waits = candidates.map(({ upstream }) => health.opensInMs(upstream.name));
  throw new UpstreamError(
    'unavailable',
    'the upstreams of this model have failed too often and are left alone for a while: try again later',
    { retryAfterMs: Math.max(1_000, Math.min(...waits)) },
  );
}

/** Who may be asked, best first. */
function inOrder(
  { health, holders }: Upstreams,
  protocol: Protocol,
  { previousId, conversationId, heldItemIds }: ProtocolCall,
  targets: readonly [ModelTarget, ...ModelTarget[]],
  { stickyKey: key, pauses }: AskOptions,
): readonly ModelTarget[] {
  const able = targets.filter(({ upstream }) => upstream.protocols.includes(protocol.name));
  if (able.length === 0) {
    const spoken = [...new Set(targets.flatMap(({ upstream }) => upstream.protocols))].join(', ');
    throw new RequestError(
      `no upstream of this model speaks ${protocol.name}: expected one of ${spoken}`,
      { status: 400, reason: 'unsupported_protocol', param: 'model' },
    );
  }
  const all = rendezvous(key, able, (target) => ({ id: targetId(target), weight: target.weight }));
  const held = previousId ?? conversationId ?? heldItemIds.at(-1) ?? null;
  const holder = held === null ? undefined : holders.get(held);
  const may =
    held === null
      ? all
      : [all.find(({ upstream }) => upstream.name === holder) ?? all[0]].filter(
          (t) => t !== undefined,
        );
  const ordered = may.filter(
    ({ upstream }) => pauses.find('upstream', upstream.name) === undefined,
  );
  const [first] = may;
  if (ordered.length === 0 && first !== undefined) {
    const pause = pauses.find('upstream', first.upstream.name);
    if (pause !== undefined) throw isPaused(pause);
  }
  const resting = ordered.filter((target) => health.isResting(target));
  if (resting.length === 0) return ordered;
  return [...ordered.filter((target) => !resting.includes(target)), ...resting];
}

function soonest(
  tries: ReadonlyMap<ModelTarget, { readonly readyAt: ReadyAt }>,
): [ModelTarget, number] | undefined {
  let best: [ModelTarget, number] | undefined;
  for (const [target, { readyAt }] of tries) {
    if (readyAt !== null && (best === undefined || readyAt < best[1])) best = [target, readyAt];
  }
  return best;
}

/** @param count how often the target was asked for this call. */
function readyAgainAt(
  { health, retries, clock }: Upstreams,
  target: ModelTarget,
  { failure }: FailedAttempt,
  count: number,
): ReadyAt {
  if (!retryRule(failure, retries.slow).same) return null;
  const asksMs = failure.kind === 'status' ? failure.retryAfterMs : null;
  if (asksMs !== null) health.rest(target, asksMs);
  return clock.now() + (asksMs ?? backOffMs(count, retries.backOff, clock.random()));
}

function describe(last: FailedAttempt): string {
  if (last.kind === 'failed') return last.error.message;
  const { target, response } = last.asked;
  return `the upstream answered ${response.status} [upstream=${target.upstream.name}]`;
}
