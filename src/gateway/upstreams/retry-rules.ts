import type { UpstreamFault } from './upstream';

/**
 * Why an upstream gave no answer that the client could have: it failed, it answered with an error, or it said within an answer of status 200
 * that it has failed, which may be for what was asked.
 */
export type Failure =
  | { readonly kind: 'said' }
  | { readonly kind: 'fault'; readonly fault: UpstreamFault }
  | { readonly kind: 'status'; readonly status: number; readonly retryAfterMs: number | null };

/** What is done about it. */
export interface RetryRule {
  /** Whether another upstream is asked, at once. */
  readonly other: boolean;
  /** Whether the same one is asked again: after `Retry-After` where it says one, else after a back-off that grows. */
  readonly same: boolean;
  /** Whether it counts against the upstream's health. */
  readonly isUnhealthy: boolean;
  /** Whether the upstream has seen the request. Where it has not, to ask another one adds no load and takes nothing of the retry budget. */
  readonly wasSeen: boolean;
}

const NEVER: RetryRule = { other: false, same: false, isUnhealthy: false, wasSeen: true };
/** It is well, and has no room or no luck now. */
const BUSY: RetryRule = { other: true, same: true, isUnhealthy: false, wasSeen: true };
const BROKEN: RetryRule = { other: true, same: true, isUnhealthy: true, wasSeen: true };
/** It would say the same again. */
const USELESS: RetryRule = { other: true, same: false, isUnhealthy: true, wasSeen: true };

/** Faults before anything of the answer reached the client. After that nothing is ever asked again. */
const BY_FAULT: Readonly<Record<UpstreamFault, RetryRule>> = {
  unreachable: { ...BROKEN, wasSeen: false },
  unavailable: { ...NEVER, wasSeen: false }, // by us: every upstream was left out, so there is none to ask
  slow: { ...NEVER, isUnhealthy: true }, // unless the configuration says otherwise, see below
  cut: BROKEN,
  garbage: USELESS,
};

/** By the status; every other below 500 is the request's own fault, and is handed on. */
const BY_STATUS: Readonly<Record<number, RetryRule>> = {
  408: BUSY,
  409: BUSY,
  425: BUSY,
  429: BUSY,
  // Our key, not the agent's: another upstream has another one.
  401: USELESS,
  403: USELESS,
  501: NEVER,
};

/**
 * The one table of what is tried again.
 *
 * | what came                              | another upstream | the same one             | its health |
 * | -------------------------------------- | ---------------- | ------------------------ | ---------- |
 * | unreachable                            | at once          | after a back-off         | fails      |
 * | slow (no first byte in time)           | where configured | no                       | fails      |
 * | cut (before the client saw anything)   | at once          | after a back-off         | fails      |
 * | garbage, 3xx, 401, 403                 | at once          | no                       | fails      |
 * | 408, 409, 425, 429                     | at once          | after Retry-After, or so | is well    |
 * | 5xx but 501                            | at once          | after Retry-After, or so | fails      |
 * | any other status, a failure that is said | no             | no                       | is well    |
 *
 * @param retriesSlow whether an upstream that did not begin to answer in time is given up for another one: it may still be at work, and the
 * answer is then paid for twice.
 */
export function retryRule(failure: Failure, retriesSlow: boolean): RetryRule {
  if (failure.kind === 'fault') {
    const rule = BY_FAULT[failure.fault];
    return failure.fault === 'slow' ? { ...rule, other: retriesSlow } : rule;
  }
  if (failure.kind === 'said') return NEVER;
  const { status } = failure;
  if (status < 400) return USELESS;
  return BY_STATUS[status] ?? (status >= 500 ? BROKEN : NEVER);
}

/** Longer than this no upstream is believed to want us to wait. */
const LONGEST_MS = 24 * 3_600_000;

/** How long an answer asks to wait, in milliseconds: `retry-after-ms` (OpenAI's), else `retry-after` in seconds or as a date (RFC 9110 §10.2.3). */
export function retryAfterMs(
  headers: Readonly<Record<string, string | string[] | undefined>>,
  nowMs: number,
): number | null {
  const [ms, after] = [headers['retry-after-ms'], headers['retry-after']];
  const exact = typeof ms === 'string' && ms.trim() !== '' ? Number(ms) : NaN;
  if (exact >= 0) return Math.min(exact, LONGEST_MS);
  if (typeof after !== 'string' || after.trim() === '') return null;
  const seconds = Number(after);
  const wait = Number.isNaN(seconds) ? Date.parse(after) - nowMs : seconds * 1_000;
  return Number.isNaN(wait) ? null : Math.min(Math.max(0, wait), LONGEST_MS);
}

/**
 * How long to wait before an upstream is asked again that did not say: between half of `firstMs`, doubled with each try, and all of it.
 *
 * @param tries how often it was asked, from 1. @param random uniform in [0, 1).
 */
export function backOffMs(
  tries: number,
  { firstMs, longestMs }: { readonly firstMs: number; readonly longestMs: number },
  random: number,
): number {
  const whole = Math.min(longestMs, firstMs * 2 ** Math.min(tries - 1, 30));
  return whole * (0.5 + random / 2);
}
