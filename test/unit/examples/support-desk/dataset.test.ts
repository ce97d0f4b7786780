import {
  DEMONSTRATIONS_PER_INTENT,
  OUT_OF_SCOPE_DEMONSTRATIONS,
  supportDeskDataset,
  type SupportDeskDataset,
} from '../../../../examples/support-desk/dataset';
import { findSkill, skills } from '../../../../examples/support-desk/desk';
import { policyConfig } from '../../../../examples/support-desk/policy';
import { parseReference } from '../../../../examples/support-desk/reference';
import { Demonstration, type Split } from '../../../../src/schemas/task';

type SourceTask = SupportDeskDataset['tasks'][number];

const isOutOfScope = (task: SourceTask): boolean => task.slice === 'out-of-scope';
const queryOf = (input: unknown): string => (input as { query: string }).query;
const spelling = (text: string): string => text.toLowerCase().replaceAll(/[^\p{L}\p{N}]/gu, '');

describe.each([1, 2, 3])('the support desk’s dataset of seed %d', (seed) => {
  let dataset: SupportDeskDataset;
  let tasksOf: (split: Split) => SourceTask[];
  beforeAll(async () => {
    dataset = await supportDeskDataset({ seed });
    tasksOf = (split) => dataset.tasks.filter((task) => task.split === split);
  });

  it('reports on all 4,500 test queries in scope and all 1,000 out of scope', () => {
    const report = tasksOf('report');
    expect(report.filter((task) => !isOutOfScope(task))).toHaveLength(4500);
    expect(report.filter(isOutOfScope)).toHaveLength(1000);
  });

  it('has five demonstrations of every tool and twenty of the way out', () => {
    const counts = new Map<string, number>();
    for (const demonstration of dataset.demonstrations) {
      Demonstration.parse(demonstration);
      counts.set(demonstration.arm, (counts.get(demonstration.arm) ?? 0) + 1);
    }
    const arms = policyConfig.arms.map(({ name }) => name);
    expect(Object.fromEntries(counts)).toEqual(
      Object.fromEntries(
        arms.map((arm) => [
          arm,
          arm === 'escalate_to_human' ? OUT_OF_SCOPE_DEMONSTRATIONS : DEMONSTRATIONS_PER_INTENT,
        ]),
      ),
    );
  });

  it('counts what it left out, and nothing else is missing', () => {
    const { exclusions, demonstrations } = dataset;
    expect(exclusions.trainInTest).toBe(33);
    expect(exclusions.testInTrain).toBe(33);
    expect(exclusions.validationInTrainOrTest).toBe(29);
    expect(tasksOf('train')).toHaveLength(
      15_100 - demonstrations.length - exclusions.trainInTest - exclusions.trainInDemonstrations,
    );
    expect(tasksOf('select').length + tasksOf('gate').length).toBe(3100 - 29);
  });

  it('has no cluster in two splits, and no demonstration among its tasks', () => {
    const splitOf = new Map<string, string>();
    for (const { text } of dataset.demonstrations) splitOf.set(spelling(text), 'demonstrations');
    const straddling = dataset.tasks.filter(({ cluster = '', split = '' }) => {
      const before = splitOf.get(cluster);
      splitOf.set(cluster, before ?? split);
      return before !== undefined && before !== split;
    });
    expect(straddling).toEqual([]);
    expect(
      dataset.tasks.filter(({ input, cluster }) => cluster !== spelling(queryOf(input))),
    ).toEqual([]);
  });

  it('gives the gate enough of both kinds to judge, and select some', () => {
    expect(tasksOf('gate').filter((task) => !isOutOfScope(task)).length).toBeGreaterThan(1400);
    expect(tasksOf('gate').filter(isOutOfScope).length).toBeGreaterThanOrEqual(70);
    expect(tasksOf('select').filter((task) => !isOutOfScope(task)).length).toBeGreaterThan(1400);
    expect(tasksOf('select').filter(isOutOfScope).length).toBeGreaterThanOrEqual(15);
  });

  it('tells an agent the query and nothing more', () => {
    const known = dataset.tasks.map(({ input }) => Object.keys(input as object).join());
    expect(new Set(known)).toEqual(new Set(['query']));
  });

  it('has ids that do not tell a label', () => {
    expect(new Set(dataset.tasks.map(({ id }) => id)).size).toBe(dataset.tasks.length);
    expect(dataset.tasks.filter(({ id }) => !/^(train|val|test)-\d{5}$/.test(id))).toEqual([]);
    // In CLINC150 queries of one intent are neighbours; by id, no more than chance has it (1 in 151, or two of 1,000 in 5,500).
    for (const split of ['train', 'report'] as const) {
      const intents = tasksOf(split)
        .filter((task) => !isOutOfScope(task))
        .map(({ family }) => family);
      const neighbours = intents.filter((intent, i) => intent === intents[i + 1]).length;
      expect(neighbours / intents.length).toBeLessThan(0.02);
      const firstHalf = tasksOf(split).slice(0, tasksOf(split).length / 2);
      const share =
        firstHalf.filter(isOutOfScope).length / tasksOf(split).filter(isOutOfScope).length;
      expect(Math.abs(share - 0.5)).toBeLessThan(0.2);
    }
  });

  it('has references that customer and scorers can read: an intent of the desk, or null', () => {
    const wrong = dataset.tasks.filter((task) => {
      const { intent } = parseReference(task.reference);
      return intent === null ? !isOutOfScope(task) : findSkill(intent)?.domain !== task.slice;
    });
    expect(wrong).toEqual([]);
  });

  it('has intents for families, and for each query out of scope a family of its own', () => {
    const report = tasksOf('report');
    expect(
      new Set(report.filter((task) => !isOutOfScope(task)).map(({ family }) => family)).size,
    ).toBe(150);
    expect(new Set(report.filter(isOutOfScope).map(({ family }) => family)).size).toBe(1000);
    expect(new Set(report.map(({ slice }) => slice))).toEqual(
      new Set(skills.map(({ domain }) => domain)),
    );
  });
});

describe('two seeds of the support desk’s dataset', () => {
  it('differ in their demonstrations, not in ids and splits', async () => {
    const [one, two] = await Promise.all([
      supportDeskDataset({ seed: 1 }),
      supportDeskDataset({ seed: 2 }),
    ]);
    const textsOf = (dataset: SupportDeskDataset): Set<string> =>
      new Set(dataset.demonstrations.map(({ text }) => text));
    const shared = [...textsOf(one)].filter((text) => textsOf(two).has(text));
    expect(shared.length).toBeLessThan(100); // of 770; chance: 5 % in scope, 20 % out of scope
    const idOf = new Map(one.tasks.map((task) => [task.id, JSON.stringify(task)]));
    const changed = two.tasks.filter(
      (task) => (idOf.get(task.id) ?? JSON.stringify(task)) !== JSON.stringify(task),
    );
    expect(changed).toEqual([]);
  });

  it('are each the same every time', async () => {
    expect(await supportDeskDataset({ seed: 2 })).toEqual(await supportDeskDataset({ seed: 2 }));
  });
});
