import { describeError, IntegrityError, TransientError } from '../../errors';
import type { GatewayCounters } from '../metrics/counters';
import { headerOf } from '../http/gateway-context';
import { parseJson } from '../http/json-body';
import { readBytes } from '../http/read-body';
import { forbidden, RequestError } from '../http/request-error';
import type { Handler, LogEntry } from '../http/route';
import { actingAgent, AGENT_HEADER } from '../keys/agent-scope';
import type { Principal } from '../keys/auth';
import type { RecordedCall, Recorder } from '../recording/recorder';
import { decodeTraces } from '../traces/decode-protobuf';
import { describeObserved, type ObservedCallDeps, UnusableSpan } from '../traces/observed-call';
import { exported, isProtobuf } from '../traces/otlp-answer';
import { readRequest } from '../traces/otlp-span';
import { isModelCall, readModelCall } from '../traces/read-spans';

export interface TracesDeps extends ObservedCallDeps {
  readonly recorder: Recorder;
  readonly counters: GatewayCounters;
  readonly bodyLimitBytes: number;
  readonly log: (entry: LogEntry) => void;
}

/** A batch holds hundreds of spans, and each of them a conversation: more than a call's body may. */
const LIMIT_FACTOR = 4;
/** An attribute alone is seven parts in JSON. */
const MAX_PARTS = 500_000;
const RETRY_AFTER_MS = 5_000;

/**
 * `POST /v1/traces`: OTLP/HTTP. The model calls in it are durable when the answer comes, and what is sent again is recorded as the same.
 * Nobody waits for an observed call, so where it cannot be written its exporter is asked to come again: 503 with `Retry-After`.
 */
export function postTraces(deps: TracesDeps): Handler<Principal> {
  const { recorder, counters, bodyLimitBytes, log } = deps;

  return async (c, { principal, requestId }) => {
    // The route does not admit session keys: a rollout's calls are recorded where they are answered.
    if (principal.kind !== 'key') throw forbidden('a session key may not send traces');
    const agent = actingAgent(principal.record, headerOf(c, AGENT_HEADER));
    const bytes = await readBytes(c, LIMIT_FACTOR * bodyLimitBytes);
    const json = isProtobuf(c)
      ? decodeTraces(bytes, MAX_PARTS)
      : parseJson(bytes.toString('utf8'), MAX_PARTS);
    const { spans, malformed } = readRequest(json);

    const calls: RecordedCall[] = [];
    const reasons: string[] = malformed > 0 ? ['it is not a span of OTLP'] : [];
    let [rejected, silent] = [malformed, 0];
    const modelCalls = spans.filter(isModelCall);
    for (const span of modelCalls) {
      const observed = readModelCall(span);
      if (observed === null) {
        silent++;
        continue;
      }
      try {
        calls.push(describeObserved(deps, agent, observed));
      } catch (error) {
        if (!(error instanceof UnusableSpan)) throw error;
        rejected++;
        reasons.push(error.message);
      }
    }
    await recordAll(calls);
    counters.observed.recorded += calls.length;
    counters.observed.rejected += rejected;
    counters.observed.silent += silent;
    counters.observed.skipped += spans.length - modelCalls.length;
    const errorMessage = [
      ...(rejected === 0
        ? []
        : [`${rejected} spans were rejected: ${[...new Set(reasons)].join('; ')}`]),
      ...(silent === 0
        ? []
        : [
            `${silent} model calls hold no answer and were not recorded: let the instrumentation capture messages`,
          ]),
    ].join('. ');
    return exported(c, { rejectedSpans: rejected, errorMessage });

    async function recordAll(all: readonly RecordedCall[]): Promise<void> {
      const failed = (await Promise.allSettled(all.map((call) => recorder.record(call)))).flatMap(
        (result) => (result.status === 'rejected' ? [result.reason as unknown] : []),
      );
      if (failed.length === 0) return;
      const [first] = failed;
      const message = `${failed.length} of ${all.length} observed calls could not be recorded`;
      log({ level: 'warn', message, requestId, error: describeError(first) });
      if (!(first instanceof TransientError)) {
        throw new IntegrityError('observed calls could not be recorded', { cause: first });
      }
      // What was written is written again with the rest, and read once.
      throw new RequestError('the traces cannot be recorded now: send them again', {
        ...{ status: 503, type: 'server_error', reason: 'not_recorded', cause: first },
        retryAfterMs: first.retryAfterMs ?? RETRY_AFTER_MS,
      });
    }
  };
}
