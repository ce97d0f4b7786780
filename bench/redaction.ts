import { createRedaction } from '../src/privacy/redaction';
import { createFindSpans } from '../src/privacy/find-spans';
import { BUILT_IN_KINDS, type BuiltInKind } from '../src/privacy/span';
import { messageId } from '../src/gateway/recording/message-id';
import type { RecordedCall } from '../src/gateway/recording/recorder';
import type { Message } from '../src/schemas/message';
import { PrivacyConfig, privacySettings } from '../src/schemas/privacy-config';
import { stream } from '../src/rl/counter-rng';
import { createCorpus, type Planted } from './redaction/corpus';
import { median } from './support/quantiles';

const TEXTS = 6_000;
const ROUNDS = 60;

interface Tally {
  planted: number;
  /** Covered by spans, as whatever kind: nothing of it would be written. */
  hidden: number;
  /** Covered by one span of its kind. */
  named: number;
  found: number;
  right: number;
}

/**
 * Precision and recall per kind on texts that are generated from a seed: values of every kind in prose, JSON, JSON in JSON, URLs and base64,
 * among decoys that look like them. And what it costs, for conversations that are seen first and that are sent again.
 *
 * `--seed n` draws other texts; `--misses` prints what was missed and what was wrongly found.
 */
export async function run(args: readonly string[]): Promise<Record<string, unknown>> {
  const seed = args.includes('--seed') ? Number(args[args.indexOf('--seed') + 1]) : 1;
  const corpus = createCorpus(stream({ seed, purpose: 'bench.redaction' }));
  const findSpans = createFindSpans(privacySettings(PrivacyConfig.parse({}), null));
  const tallies = new Map<BuiltInKind, Tally>(
    BUILT_IN_KINDS.map((kind) => [kind, { planted: 0, hidden: 0, named: 0, found: 0, right: 0 }]),
  );
  const note = (what: string, detail: string): void => {
    if (args.includes('--misses')) process.stderr.write(`${what}: ${detail}\n`);
  };
  for (let i = 0; i < TEXTS; i++) {
    const { text, planted } = corpus();
    const spans = findSpans(text);
    for (const value of planted) {
      const tally = tallies.get(value.kind) as Tally;
      tally.planted += 1;
      const by = spans.filter((span) => span.start <= value.start && span.end >= value.end);
      if (by.length > 0) tally.hidden += 1;
      else note(`missed ${value.kind}`, around(text, value));
      if (by.some(({ kind }) => kind === value.kind)) tally.named += 1;
    }
    for (const span of spans) {
      const tally = tallies.get(span.kind as BuiltInKind);
      if (tally === undefined) continue;
      tally.found += 1;
      const overlaps = ({ start, end }: Planted): boolean => start < span.end && end > span.start;
      // Where one kind stands in another (a password in a URL), whichever it is called, something had to go.
      if (planted.some(overlaps)) tally.right += 1;
      else note(`wrong ${span.kind}`, around(text, span));
    }
  }
  const kinds = Object.fromEntries(
    Array.from(tallies, ([kind, { planted, hidden, named, found, right }]) => [
      kind,
      {
        ...{ planted, recall: share(hidden, planted), recallAsKind: share(named, planted) },
        precision: share(right, found),
      },
    ]),
  );
  return {
    ...{ seed, texts: TEXTS, kinds },
    oneKilobyte: cost(1_024, seed),
    twentyKilobytes: cost(20_480, seed),
  };
}

function around(text: string, { start, end }: { start: number; end: number }): string {
  return JSON.stringify(
    `${text.slice(Math.max(0, start - 40), start)}⟦${text.slice(start, end)}⟧${text.slice(end, end + 20)}`,
  );
}

function share(part: number, of: number): number | null {
  return of === 0 ? null : Math.round((part / of) * 10_000) / 10_000;
}

/** µs per call: of a conversation that was never seen, and of the same one with its last two messages new, as agents send it. */
function cost(sizeBytes: number, seed: number): Record<string, number> {
  const corpus = createCorpus(stream({ seed, purpose: 'bench.redaction.cost' }));
  const redaction = createRedaction(PrivacyConfig.parse({}), new Uint8Array(32).fill(7));
  const times = { cold: [] as number[], resent: [] as number[] };
  for (let round = 0; round < ROUNDS; round++) {
    const messages: Message[] = [];
    for (let size = 0; size < sizeBytes;) {
      const { text } = corpus();
      messages.push({ role: messages.length % 2 === 0 ? 'user' : 'assistant', content: text });
      size += text.length;
    }
    const conversation = callOf(messages);
    const next = callOf([
      ...messages,
      { role: 'user', content: 'and then?' },
      { role: 'assistant', content: `then ${round} more` },
    ]);
    for (const [name, call] of [
      ['cold', conversation],
      ['resent', next],
    ] as const) {
      const startedAt = performance.now();
      redaction.call(call);
      times[name].push((performance.now() - startedAt) * 1_000);
    }
  }
  const [coldUs, resentUs] = [median(times.cold), median(times.resent)];
  const round = (value: number): number => Math.round(value * 10) / 10;
  return {
    coldUs: round(coldUs),
    resentUs: round(resentUs),
    coldUsPerKb: round(coldUs / (sizeBytes / 1_024)),
  };
}

function callOf(messages: readonly Message[]): RecordedCall {
  const all = new Map(messages.map((message) => [messageId(message), message]));
  const ids = [...all.keys()];
  return {
    ...{ session: 'live/desk/s', agent: 'desk', messages: all, tools: null },
    decision: {
      ...{ id: 'chatcmpl-1', sequence: 1, policy: null, checkpoint: null, toolset: null },
      ...{ context: ids.slice(0, -1), output: ids.at(-1) ?? '' },
      sampled: { kind: 'text', finishReason: 'stop', tokens: null },
      sampling: { temperature: 1 },
      ...{ usage: null, latencyMs: 1, at: '2026-11-23T10:00:00.000Z' },
    },
  };
}
