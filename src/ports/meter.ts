interface Metric {
  readonly type: 'counter' | 'histogram' | 'gauge';
  /** As Prometheus wants it: the unit, or `_total`, is the end of the name. */
  readonly name: string;
  readonly labels: readonly string[];
  readonly description: string;
  /** Upper bounds of a histogram's buckets. */
  readonly buckets?: readonly number[];
}

/** From a local call to an agent at its deadline, in seconds. */
const AGENT_SECONDS = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1_000];
/** From a file in the page cache to a store that is about to be given up, in seconds. */
const STORE_SECONDS = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30];

/**
 * Every metric of ours; docs/operations.md shows them to people. Labels have few values: names of a project, kinds,
 * outcomes; never a run, a task or a key.
 */
export const METRICS = {
  rollouts: {
    type: 'counter',
    name: 'ratchet_rollouts_total',
    labels: ['outcome'],
    description: 'Rollouts in written segments: completed, policyFailed, infraFailed.',
  },
  drops: {
    type: 'counter',
    name: 'ratchet_rollouts_dropped_total',
    labels: ['reason'],
    description: 'Rollouts that infrastructure failed in every attempt; they teach nothing.',
  },
  rolloutSeconds: {
    type: 'histogram',
    name: 'ratchet_rollout_seconds',
    labels: [],
    description: 'From the first attempt of a rollout to the end of its last.',
    buckets: AGENT_SECONDS,
  },
  agentAttempts: {
    type: 'counter',
    name: 'ratchet_agent_attempts_total',
    labels: ['agent', 'exit'],
    description: 'Executions of agents: returned, crashed, timedOut, cancelled.',
  },
  segments: {
    type: 'counter',
    name: 'ratchet_segments_written_total',
    labels: [],
    description: 'Segments of trajectories that rollout batches wrote.',
  },
  segmentBytes: {
    type: 'counter',
    name: 'ratchet_segments_written_bytes_total',
    labels: [],
    description: 'Their bytes.',
  },
  trainingSteps: {
    type: 'counter',
    name: 'ratchet_training_steps_total',
    labels: ['job'],
    description: 'Optimizer steps taken, those repeated after a crash included: create, train.',
  },
  trainingExamples: {
    type: 'counter',
    name: 'ratchet_training_examples_total',
    labels: ['job'],
    description: 'Rows that finished trainings saw, repetitions included.',
  },
  storeOperations: {
    type: 'counter',
    name: 'ratchet_store_operations_total',
    labels: ['operation', 'kind', 'outcome'],
    description:
      'Calls of the object store: ok, lost (a condition), absent, or the code of the error.',
  },
  storeSeconds: {
    type: 'histogram',
    name: 'ratchet_store_operation_seconds',
    labels: ['operation'],
    description: 'How long they took, streams to their end.',
    buckets: STORE_SECONDS,
  },
  storeWrittenBytes: {
    type: 'counter',
    name: 'ratchet_store_written_bytes_total',
    labels: ['kind'],
    description: 'Bytes of puts that committed.',
  },
  parkedRuns: {
    type: 'gauge',
    name: 'ratchet_parked_runs',
    labels: [],
    description: 'Workflows in needs-attention, as the control worker last counted them.',
  },
  awaitingApproval: {
    type: 'gauge',
    name: 'ratchet_runs_awaiting_approval',
    labels: [],
    description: 'Workflows that wait for a person’s decision, as the control worker last counted.',
  },
} as const satisfies Readonly<Record<string, Metric>>;

type Metrics = typeof METRICS;
export type MetricId = keyof Metrics;
type OfType<T extends Metric['type']> = {
  [K in MetricId]: Metrics[K]['type'] extends T ? K : never;
}[MetricId];
export type CounterId = OfType<'counter'>;
export type HistogramId = OfType<'histogram'>;
export type GaugeId = OfType<'gauge'>;
export type Labels<K extends MetricId> = Readonly<Record<Metrics[K]['labels'][number], string>>;

/** Where numbers about ourselves go. Never throws, and costs next to nothing. */
export interface Meter {
  add<K extends CounterId>(metric: K, by: number, labels: Labels<K>): void;
  observe<K extends HistogramId>(metric: K, value: number, labels: Labels<K>): void;
  set<K extends GaugeId>(metric: K, value: number, labels: Labels<K>): void;
}

export const noMeter: Meter = {
  add: () => undefined,
  observe: () => undefined,
  set: () => undefined,
};
