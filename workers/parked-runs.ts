import { describeError } from '../src/errors';
import type { GaugeId, Meter } from '../src/ports/meter';
import type { Log } from './log';
import type { Temporal } from './temporal-connection';

const EVERY_MS = 30_000;
const PHASES: readonly (readonly [GaugeId, string])[] = [
  ['parkedRuns', 'needs-attention'],
  ['awaitingApproval', 'awaiting-approval'],
];

/**
 * Counts the workflows that wait for a person, by the search attribute RatchetPhase: the numbers that an alarm is made of.
 * Every control worker counts the same; take the maximum.
 *
 * @returns stops counting.
 */
export function watchParkedRuns(
  { connection, namespace }: Temporal,
  taskQueue: string,
  meter: Meter,
  log: Log,
): () => void {
  let isFailing = false;
  const count = async (): Promise<void> => {
    try {
      for (const [gauge, phase] of PHASES) {
        const query = `RatchetPhase="${phase}" AND ExecutionStatus="Running" AND TaskQueue="${taskQueue}"`;
        const { count: running } = await connection.workflowService.countWorkflowExecutions({
          namespace,
          query,
        });
        meter.set(gauge, Number(running), {});
      }
      isFailing = false;
    } catch (error) {
      // Without the search attributes, or while the server is away: said once, the last numbers stay.
      if (!isFailing) log.warn('parked runs cannot be counted', { error: describeError(error) });
      isFailing = true;
    }
  };
  void count();
  const timer = setInterval(() => void count(), EVERY_MS).unref();
  return () => clearInterval(timer);
}
