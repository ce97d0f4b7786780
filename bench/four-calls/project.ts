import type { Project } from '../../src/project';
import { ChoiceConfig } from '../../src/schemas/choice-config';
import { CreateConfig } from '../../src/schemas/train-config';
import type { ScorerInput } from '../../src/scoring/scorer';
import type { DatasetSource, Split } from '../../src/schemas/task';
import { leanAgent, openAiAgent } from './agents';
import { SKILLS, turnsOf } from './conversation';

const COUNTS: readonly (readonly [Split, number])[] = [
  ['train', 1_000],
  ['select', 40],
  ['gate', 40],
  ['report', 1],
];

async function customers(): Promise<DatasetSource> {
  let n = 0;
  const tasks = COUNTS.flatMap(([split, count]) =>
    Array.from({ length: count }, () => {
      const turns = turnsOf(n);
      const id = `customer-${n++}`;
      return {
        ...{ id, split, family: id, slice: 'all' },
        input: { queries: turns.map(({ query }) => query) },
        reference: { tools: turns.map(({ tool }) => tool) },
      };
    }),
  );
  const demonstrations = SKILLS.map((arm) => ({ text: arm.replaceAll('_', ' '), arm }));
  return { tasks, demonstrations, attribution: 'made up' };
}

/**
 * A desk whose customers ask four things in a row, and whose policy answers at once: the smallest network that there can be
 * over words, so that what is measured is what a rollout costs and not what a model does.
 */
export const project: Project = {
  agents: {
    'four-calls': { kind: 'module', run: leanAgent },
    'four-calls-openai': { kind: 'module', run: openAiAgent },
  },
  scorers: [
    {
      name: 'resolved',
      version: '1',
      score: ({ result, reference }: ScorerInput): number => {
        const { tools } = reference.reference as { readonly tools: readonly string[] };
        const called = result as readonly string[];
        return tools.filter((tool, i) => called[i] === tool).length / tools.length;
      },
    },
  ],
  datasets: { 'four-calls': customers },
  policies: {
    'four-calls': {
      config: ChoiceConfig.parse({
        arms: SKILLS.map((name) => ({ kind: 'tool', name, tool: name })),
        features: { buckets: 256, wordNgrams: [1], charNgrams: [] },
        network: { embedding: 8, hidden: 8 },
      }),
      createFrom: { dataset: 'four-calls' },
      create: CreateConfig.parse({ epochs: 1 }),
    },
  },
};
