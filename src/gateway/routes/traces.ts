import { TransientError } from '../../errors';
import type { GatewayCounters } from '../metrics/counters';
import { headerOf } from '../http/gateway-context';
import { parseJson } from '../http/json-body';
import { readBytes } from '../http/read-body';
import { forbidden, RequestError } from '../http/request-error';
import type { Handler, LogEntry } from '../http/route';
import { actingAgent, AGENT_HEADER } from '../keys/agent-scope';
import type { Principal } from '../keys/auth';
import { decodeTraces } from '../traces/decode-protobuf';
import { observeSpans, type ObserveDeps, type ObservedSpans } from '../traces/observe-spans';
import { assertEncoding, exported, isProtobuf } from '../traces/otlp-answer';
import { spansOf } from '../traces/otlp-span';

export interface TracesDeps extends Omit<ObserveDeps, 'onFault'> {
  readonly counters: GatewayCounters;
  /** Of a body, packed or unpacked. */
  readonly tracesLimitBytes: number;
  readonly log: (entry: LogEntry) => void;
}

/**
 * Ten times what a call's body may have: an attribute alone is seven parts in OTLP's JSON, and collectors send 8,192 spans at once. What is
 * left of it after parsing is read in turns.
 */
const MAX_PARTS = 1_000_000;
const RETRY_AFTER_MS = 5_000;

/**
 * `POST /v1/traces`: OTLP/HTTP. The model calls in it are durable when the answer comes, and what is sent again is recorded as the same.
 * Nobody waits for an observed call, so where it cannot be written now its exporter is asked to come again: 503 with `Retry-After`. What
 * can never be written is told as rejected, for exporters repeat a 503 for ever.
 */
export function postTraces(deps: TracesDeps): Handler<Principal> {
  const { counters, tracesLimitBytes, log } = deps;

  return async (c, { principal, requestId }) => {
    // The route does not admit session keys: a rollout's calls are recorded where they are answered.
    if (principal.kind !== 'key') throw forbidden('a session key may not send traces');
    const agent = actingAgent(principal.record, headerOf(c, AGENT_HEADER));
    assertEncoding(c);
    const bytes = await readBytes(c, tracesLimitBytes);
    const json = isProtobuf(c)
      ? decodeTraces(bytes, MAX_PARTS)
      : parseJson(bytes.toString('utf8'), MAX_PARTS);
    const told = (level: LogEntry['level'], message: string, error: string): void =>
      log({ level, message, requestId, error });
    const onFault = (error: string): void =>
      told('error', 'an observed call was rejected by a fault of ours', error);
    let observed: ObservedSpans;
    try {
      observed = await observeSpans({ ...deps, onFault }, agent, spansOf(json), MAX_PARTS);
    } catch (error) {
      if (!(error instanceof TransientError)) throw error;
      throw new RequestError('the traces cannot be recorded now: send them again', {
        ...{ status: 503, type: 'server_error', reason: 'not_recorded', cause: error },
        retryAfterMs: error.retryAfterMs ?? RETRY_AFTER_MS,
      });
    }
    for (const outcome of ['recorded', 'silent', 'rejected', 'skipped'] as const) {
      counters.observed[outcome] += observed[outcome];
    }
    return exported(c, { rejectedSpans: observed.rejected, errorMessage: messageOf(observed) });
  };
}

function messageOf({ rejected, silent, reasons }: ObservedSpans): string {
  const said = [
    ...(rejected === 0 ? [] : [`${rejected} spans were rejected: ${reasons.join('; ')}`]),
    ...(silent === 0
      ? []
      : [
          `${silent} model calls hold no answer and were not recorded: let the instrumentation capture messages`,
        ]),
  ];
  return said.join('. ');
}
