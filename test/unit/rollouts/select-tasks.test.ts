import { selectTasks } from '../../../src/rollouts/select-tasks';
import type { TaskSelection } from '../../../src/schemas/stages';
import type { Task } from '../../../src/schemas/task';

const tasks = Array.from({ length: 50 }, (_, n): Task => {
  const id = `task-${n}`;
  return { id, cluster: id, split: 'train', input: n };
});
const idsOf = (selection: Partial<TaskSelection>, seed = 1): string[] =>
  selectTasks(tasks, { split: 'train', order: 'shuffled', from: 0, count: 50, ...selection }, seed) // prettier-ignore
    .map(({ task }) => task.id);
const all = tasks.map(({ id }) => id).sort();

describe('a shuffled selection', () => {
  it.each([0, 1, 2, 17])('holds every task exactly once in pass %i', (pass) => {
    expect(idsOf({ from: 50 * pass }).sort()).toEqual(all);
  });

  it('is another permutation in each pass, and for each seed', () => {
    const orders = [idsOf({}), idsOf({ from: 50 }), idsOf({ from: 100 }), idsOf({}, 2)];
    expect(new Set(orders.map((ids) => ids.join())).size).toBe(orders.length);
    expect(idsOf({})).not.toEqual(tasks.map(({ id }) => id));
  });

  it('is the same on each call', () => {
    expect(idsOf({ from: 30, count: 60 })).toEqual(idsOf({ from: 30, count: 60 }));
  });

  it('goes on where the one before ended, also across the end of a pass', () => {
    const whole = idsOf({ count: 100 });
    const parts = [0, 33, 66].map((from) => idsOf({ from, count: from === 66 ? 34 : 33 }));
    expect(parts.flat()).toEqual(whole);
  });

  it('says in which pass a task comes', () => {
    const selection = { split: 'train', order: 'shuffled', from: 48, count: 54 } as const;
    const passes = selectTasks(tasks, selection, 1).map(({ pass }) => pass);
    expect(passes).toEqual([0, 0, ...new Array<number>(50).fill(1), 2, 2]);
  });
});

describe('a fixed selection', () => {
  it('does not depend on the seed', () => {
    expect(idsOf({ order: 'fixed', count: 20 }, 1)).toEqual(
      idsOf({ order: 'fixed', count: 20 }, 2),
    );
  });

  it('is a permutation of the split that any prefix samples fairly', () => {
    const ids = idsOf({ order: 'fixed' });
    expect(ids).not.toEqual(tasks.map(({ id }) => id));
    expect([...ids].sort()).toEqual(all);
    expect(idsOf({ order: 'fixed', count: 20 })).toEqual(ids.slice(0, 20));
  });

  it('ends with the split', () => {
    expect(idsOf({ order: 'fixed', from: 40, count: 50 })).toHaveLength(10);
    expect(idsOf({ order: 'fixed', from: 50, count: 50 })).toEqual([]);
  });
});
