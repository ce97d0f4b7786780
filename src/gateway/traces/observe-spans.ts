import { setImmediate } from 'node:timers/promises';
import { describeError, TransientError } from '../../errors';
import type { Recorder } from '../recording/recorder';
import type { ObservedCounters } from '../metrics/counters';
import { JsonTexts } from './json-texts';
import { describeObserved, type ObservedCallDeps } from './observed-call';
import { toSpan, type OtlpSpan } from './otlp-span';
import { isModelCall, readModelCall } from './read-spans';
import { ToolResults } from './tool-results';
import { UnusableSpan } from './unusable-span';

export interface ObserveDeps extends ObservedCallDeps {
  readonly recorder: Recorder;
  /** Told of spans that fail on our side. */
  readonly onFault: (error: string) => void;
}

export interface ObservedSpans extends Readonly<ObservedCounters> {
  /** Why spans were rejected, each reason once. */
  readonly reasons: readonly string[];
}

/** A spool takes only so many entries at once, and a batch may hold more. They share a write to the disk. */
const AT_A_TIME = 128;
/** After so long, others get their turn: live calls wait for the same thread. */
const TURN_MS = 10;

/**
 * Records the model calls among the spans of one request, and waits until they are durable. What is wrong with one span costs no other.
 *
 * @param sent as `spansOf` gives them.
 * @param maxNodes of JSON in attributes, all together.
 * @throws {TransientError} if something cannot be written now. What was written before is written again with the rest, and read once.
 */
export async function observeSpans(
  deps: ObserveDeps,
  agent: string,
  sent: readonly unknown[],
  maxNodes: number,
): Promise<ObservedSpans> {
  const { recorder, onFault } = deps;
  const json = new JsonTexts(maxNodes);
  const tally = { recorded: 0, silent: 0, rejected: 0, skipped: 0 };
  const reasons = new Set<string>();
  const reject = (error: unknown): void => {
    if (error instanceof TransientError) throw error;
    tally.rejected++;
    if (error instanceof UnusableSpan) {
      reasons.add(error.message);
    } else {
      onFault(describeError(error));
      reasons.add('it could not be recorded, which is not its fault: the gateway’s log says why');
    }
  };
  let turnBeganAt = performance.now();
  const isTurnOver = (): boolean => performance.now() - turnBeganAt > TURN_MS;
  const giveTurn = async (): Promise<void> => {
    await setImmediate();
    turnBeganAt = performance.now();
  };

  const modelCalls: OtlpSpan[] = [];
  const results = new ToolResults();
  for (const one of sent) {
    if (isTurnOver()) await giveTurn();
    const span = toSpan(one);
    if (span === null) reject(new UnusableSpan('it is not a span of OTLP'));
    else if (isModelCall(span)) modelCalls.push(span);
    else {
      results.add(span);
      tally.skipped++;
    }
  }

  const writing: Promise<PromiseSettledResult<void>>[] = [];
  const written = async (): Promise<void> => {
    for (const result of await Promise.all(writing.splice(0))) {
      if (result.status === 'fulfilled') tally.recorded++;
      else reject(result.reason);
    }
    turnBeganAt = performance.now();
  };
  for (const span of modelCalls) {
    try {
      const call = readModelCall(span, json);
      if (call !== null) {
        const input = results.complete(span.traceId, call.input);
        const recorded = describeObserved(deps, agent, { ...call, input });
        writing.push(settled(recorder.record(recorded)));
      } else if (span.isError) tally.skipped++;
      else tally.silent++;
    } catch (error) {
      reject(error);
    }
    if (writing.length === AT_A_TIME) await written();
    else if (isTurnOver()) await giveTurn();
  }
  await written();
  return { ...tally, reasons: [...reasons] };
}

/** Others get their turn before it is looked at: what fails until then must not count as unhandled. */
function settled(work: Promise<void>): Promise<PromiseSettledResult<void>> {
  return work.then(
    () => ({ status: 'fulfilled', value: undefined }),
    (reason: unknown) => ({ status: 'rejected', reason }),
  );
}
