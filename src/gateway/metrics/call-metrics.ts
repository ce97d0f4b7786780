import type { CallObserver } from '../call-observer';
import { CLIENT_GONE } from '../http/request-error';
import { modelName } from '../model-name';
import { createHistogram, type Histogram } from './histogram';
import type { Metric, Sample } from './prometheus-text';

/** What one agent has asked of one model since the process started. */
interface Series {
  readonly agent: string;
  readonly model: string;
  readonly calls: Record<Outcome, number>;
  recorded: number;
  promptTokens: number;
  completionTokens: number;
  cachedTokens: number;
  /** Millionths of the unit of money; null until a price was known. */
  costMicros: number | null;
}

type Outcome = 'answered' | 'refused' | 'failed' | 'gone';

/** How long the answers of one model took, in seconds. */
interface Times {
  readonly whole: Histogram;
  readonly firstByte: Histogram;
}

/** Counts model calls, by agent and model. All but `ratchet_gateway_streams_open` only grow; those of several processes are added up. */
export interface CallMetrics {
  /** A call has come in. */
  readonly begin: () => CallObserver;
  readonly metrics: () => readonly Metric[];
}

export interface CallMetricsOptions {
  /** Milliseconds from any start, never backwards. @default performance.now */
  readonly clock?: () => number;
}

/** In place of names that are not known, or too many: whoever sends requests must not be able to make series of them. */
const OTHER = 'other';
/** Agents come from keys and sessions, which only an operator makes; more of them than this share one name. */
const MAX_AGENTS = 200;
/** From a policy's answer to a model that thinks for minutes, in seconds. */
const SECONDS = [
  ...[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5],
  ...[1, 2.5, 5, 10, 30, 60, 120, 300, 600],
];

export function createCallMetrics({
  clock = () => performance.now(),
}: CallMetricsOptions = {}): CallMetrics {
  const byAgent = new Map<string, Map<string, Series>>();
  const times = new Map<string, Times>();
  let streamsOpen = 0;

  const seriesOf = (agent: string, model: string): Series => {
    let models = byAgent.get(agent);
    if (models === undefined) {
      if (byAgent.size >= MAX_AGENTS && agent !== OTHER) return seriesOf(OTHER, model);
      byAgent.set(agent, (models = new Map<string, Series>()));
    }
    let series = models.get(model);
    if (series === undefined) models.set(model, (series = newSeries(agent, model)));
    return series;
  };
  const timesOf = (model: string): Times => {
    let known = times.get(model);
    if (known === undefined) {
      known = { whole: createHistogram(SECONDS), firstByte: createHistogram(SECONDS) };
      times.set(model, known);
    }
    return known;
  };

  return {
    begin() {
      const startedAt = clock();
      const elapsed = (): number => (clock() - startedAt) / 1_000;
      let agent: string | null = null;
      let model = OTHER;
      let isStreaming = false;
      return {
        called(by, asked) {
          agent = by;
          if (asked !== null) model = asked;
        },
        byPolicy: (policy) => void (model = modelName(policy)),
        streams() {
          isStreaming = true;
          streamsOpen++;
          timesOf(model).firstByte.observe(elapsed());
        },
        decided({ usage, costMicros }, isRecorded) {
          const series = seriesOf(agent ?? OTHER, model);
          if (isRecorded) series.recorded++;
          if (costMicros !== undefined) series.costMicros = (series.costMicros ?? 0) + costMicros;
          if (usage === null) return;
          series.promptTokens += usage.promptTokens;
          series.completionTokens += usage.completionTokens;
          series.cachedTokens += usage.cacheReadTokens ?? 0;
        },
        ended(status) {
          if (isStreaming) streamsOpen--;
          // What could not be read says of no agent and no model: it is among the requests by status.
          if (agent === null) return;
          const outcome = outcomeOf(status);
          seriesOf(agent, model).calls[outcome]++;
          if (outcome === 'answered') timesOf(model).whole.observe(elapsed());
        },
      };
    },
    metrics: () =>
      toMetrics(
        Array.from(byAgent.values(), (models) => [...models.values()]).flat(),
        times,
        streamsOpen,
      ),
  };
}

function newSeries(agent: string, model: string): Series {
  return {
    ...{ agent, model, calls: { answered: 0, refused: 0, failed: 0, gone: 0 } },
    ...{ recorded: 0, promptTokens: 0, completionTokens: 0, cachedTokens: 0, costMicros: null },
  };
}

function outcomeOf(status: number): Outcome {
  if (status < 400) return 'answered';
  if (status === CLIENT_GONE) return 'gone';
  return status < 500 ? 'refused' : 'failed';
}

function toMetrics(
  all: readonly Series[],
  times: ReadonlyMap<string, Times>,
  streamsOpen: number,
): Metric[] {
  const each = (of: (series: Series) => readonly Omit<Sample, 'suffix'>[]): Sample[] =>
    all.flatMap((series) => {
      const { agent, model } = series;
      return of(series).map(({ labels, value }) => ({
        labels: { agent, model, ...labels },
        value,
      }));
    });
  const histogram = (kind: keyof Times): Sample[] =>
    Array.from(times, ([model, of]) => of[kind].samples({ model })).flat();
  return [
    {
      ...{ name: 'ratchet_gateway_calls_total', type: 'counter' },
      help: 'Model calls by how they ended: answered, refused, failed, gone (the client).',
      samples: each(({ calls }) =>
        Object.entries(calls).map(([outcome, value]) => ({ labels: { outcome }, value })),
      ),
    },
    {
      ...{ name: 'ratchet_gateway_recorded_total', type: 'counter' },
      help: 'Answers that were durable before their clients had all of them.',
      samples: each(({ recorded }) => [{ value: recorded }]),
    },
    {
      ...{ name: 'ratchet_gateway_call_seconds', type: 'histogram' },
      help: 'From a request to the end of its answer, of calls that were answered.',
      samples: histogram('whole'),
    },
    {
      ...{ name: 'ratchet_gateway_first_byte_seconds', type: 'histogram' },
      help: 'From a request until the first bytes of its answer were there, where that is streamed.',
      samples: histogram('firstByte'),
    },
    {
      ...{ name: 'ratchet_gateway_streams_open', type: 'gauge' },
      help: 'Streamed answers that have begun and not ended.',
      samples: [{ value: streamsOpen }],
    },
    {
      ...{ name: 'ratchet_gateway_tokens_total', type: 'counter' },
      help: 'Tokens of whole answers and their prompts, as upstreams and policies count them.',
      samples: each(({ promptTokens, completionTokens }) => [
        { labels: { kind: 'prompt' }, value: promptTokens },
        { labels: { kind: 'completion' }, value: completionTokens },
      ]),
    },
    {
      ...{ name: 'ratchet_gateway_cached_tokens_total', type: 'counter' },
      help: 'Of the prompts’ tokens, those that upstreams had in their caches.',
      samples: each(({ cachedTokens }) => [{ value: cachedTokens }]),
    },
    {
      ...{ name: 'ratchet_gateway_cost_total', type: 'counter' },
      help: 'What answers cost, in the unit of money that the prices are in; where a price is known.',
      samples: each(({ costMicros }) => (costMicros === null ? [] : [{ value: costMicros / 1e6 }])),
    },
  ];
}
