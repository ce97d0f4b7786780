import type { Breaker, BreakerEvent, BreakerSettings } from './circuit-breaker';
import { admits, CLOSED, nextBreaker } from './circuit-breaker';
import type { Failure } from './retry-rules';
import type { ModelTarget } from './model-table';

/** What one gateway process has seen of an upstream since it started. */
export interface UpstreamStatus {
  readonly breaker: Breaker;
  /** Requests under way, up to the last byte of their answers. */
  readonly running: number;
  /** Requests sent, retries included. */
  readonly asked: number;
  /** Of those, how many were tries after the first of their call. */
  readonly retries: number;
  /** By fault, `status_<code>`, or `said` for a failure within an answer of status 200. */
  readonly errors: Readonly<Record<string, number>>;
}

/** How the upstreams are, as this process sees it: passively, from its own calls. */
export interface UpstreamHealth {
  /** Takes the place of a probe where the breaker is half-open: whoever gets true asks, and reports how that went. */
  admit(upstream: string): boolean;
  /** @returns what is to be called once when the answer is over; further calls change nothing. */
  asked(upstream: string, isRetry: boolean): () => void;
  report(upstream: string, event: BreakerEvent): void;
  /** An answer that was none. */
  failed(upstream: string, failure: Failure, isUnhealthy: boolean): void;
  /** Leaves a target to others while it asks for that. A limit is often one model's, so other models of the upstream go on. */
  rest(target: ModelTarget, forMs: number): void;
  isResting(target: ModelTarget): boolean;
  /** Milliseconds until the breaker lets a call through; 0 where it does now. */
  opensInMs(upstream: string): number;
  status(upstream: string): UpstreamStatus;
}

interface Seen {
  breaker: Breaker;
  running: number;
  asked: number;
  retries: number;
  readonly errors: Record<string, number>;
}

/** @param now milliseconds since 1970. */
export function createUpstreamHealth(settings: BreakerSettings, now: () => number): UpstreamHealth {
  const byUpstream = new Map<string, Seen>();
  const restUntil = new Map<string, number>();

  const of = (upstream: string): Seen => {
    let seen = byUpstream.get(upstream);
    if (seen === undefined) {
      byUpstream.set(
        upstream,
        (seen = { breaker: CLOSED, running: 0, asked: 0, retries: 0, errors: {} }),
      );
    }
    return seen;
  };
  const report = (upstream: string, event: BreakerEvent): void => {
    const seen = of(upstream);
    seen.breaker = nextBreaker(seen.breaker, event, now(), settings);
  };

  return {
    admit(upstream) {
      if (!admits(of(upstream).breaker, now())) return false;
      report(upstream, 'asked');
      return true;
    },
    asked(upstream, isRetry) {
      const seen = of(upstream);
      seen.asked++;
      if (isRetry) seen.retries++;
      seen.running++;
      let isOver = false;
      return () => {
        if (!isOver) seen.running--;
        isOver = true;
      };
    },
    report,
    failed(upstream, failure, isUnhealthy) {
      const { errors } = of(upstream);
      const name = nameOf(failure);
      errors[name] = (errors[name] ?? 0) + 1;
      report(upstream, isUnhealthy ? 'failed' : 'finished'); // to refuse a call is a whole answer, too
    },
    rest: (target, forMs) => void restUntil.set(targetId(target), now() + forMs),
    isResting: (target) => (restUntil.get(targetId(target)) ?? 0) > now(),
    opensInMs(upstream) {
      const { breaker } = of(upstream);
      if (breaker.kind === 'open') return Math.max(0, breaker.untilMs - now());
      return breaker.kind === 'closed' ? 0 : settings.openMs;
    },
    status: (upstream) => ({ ...of(upstream), errors: { ...of(upstream).errors } }),
  };
}

/** Names a target among those of all models. */
export function targetId({ upstream, model }: ModelTarget): string {
  return `${upstream.name}\n${model}`;
}

function nameOf(failure: Failure): string {
  if (failure.kind === 'status') return `status_${failure.status}`;
  return failure.kind === 'fault' ? failure.fault : 'said';
}
