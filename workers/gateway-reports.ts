import { fleetMetrics } from '../src/gateway/metrics/fleet-metrics';
import { mergeMetrics, totalsOf } from '../src/gateway/metrics/merge-metrics';
import type { Metric } from '../src/gateway/metrics/prometheus-text';
import type { ToProcess } from './gateway-messages';

/** A process that does not report by then is counted as it was last. */
const REPORT_MS = 1_000;

/** The metrics of all processes, also of those that have ended: counters must not fall because one of them died. */
export interface FleetReports {
  add(process: number, send: (message: ToProcess) => void): void;
  remove(process: number): void;
  reported(process: number, id: number, metrics: readonly Metric[]): void;
  /** How many serve. */
  running(): number;
  gather(restarts: number, expected: number): Promise<Metric[]>;
}

interface Member {
  readonly send: (message: ToProcess) => void;
  last: readonly Metric[];
}

export function createFleetReports(reportMs = REPORT_MS): FleetReports {
  const members = new Map<number, Member>();
  /** By the id of a question: those that have not answered, and whom it tells when all have. */
  const waiting = new Map<number, { readonly missing: Set<number>; readonly done: () => void }>();
  let ended: Metric[] = [];
  let ids = 0;

  const settle = (process: number, id: number): void => {
    const question = waiting.get(id);
    if (question?.missing.delete(process) === true && question.missing.size === 0) question.done();
  };

  return {
    add: (process, send) => void members.set(process, { send, last: [] }),

    remove(process) {
      ended = mergeMetrics([ended, totalsOf(members.get(process)?.last ?? [])]);
      members.delete(process);
      for (const id of [...waiting.keys()]) settle(process, id);
    },

    reported(process, id, metrics) {
      const member = members.get(process);
      if (member !== undefined) member.last = metrics;
      settle(process, id);
    },

    running: () => members.size,

    async gather(restarts, expected) {
      const id = ++ids;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(() => done(), reportMs);
        const done = (): void => {
          clearTimeout(timer);
          waiting.delete(id);
          resolve();
        };
        waiting.set(id, { missing: new Set(members.keys()), done });
        for (const { send } of members.values()) send({ type: 'report', id });
        if (members.size === 0) done();
      });
      return [
        ...mergeMetrics([...Array.from(members.values(), ({ last }) => last), ended]),
        ...fleetMetrics({ running: members.size, expected }, restarts),
      ];
    },
  };
}
