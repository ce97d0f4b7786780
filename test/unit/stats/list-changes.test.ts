import { listChanges, type ScoredPair } from '../../../src/stats/list-changes';

const row = (slice: string, taskId: string, champion: number, candidate: number): ScoredPair => ({
  taskId,
  slice,
  champion,
  candidate,
});

const rows = [
  row('travel', 't2', 0, 1),
  row('banking', 'b1', 1, 0),
  row('travel', 't1', 0, 1),
  row('banking', 'b2', 1, 1),
  row('work', 'w1', 0, 0),
  row('banking', 'b0', 0, 1),
];

test('lists what was fixed and what broke, by slice and then by task', () => {
  expect(listChanges(rows)).toEqual({
    fixed: { count: 3, taskIds: ['b0', 't1', 't2'] },
    broken: { count: 1, taskIds: ['b1'] },
    slices: [
      { slice: 'banking', tasks: 3, fixed: 1, broken: 1 },
      { slice: 'travel', tasks: 2, fixed: 2, broken: 0 },
      { slice: 'work', tasks: 1, fixed: 0, broken: 0 },
    ],
  });
});

test('the order of the rows does not matter', () => {
  expect(listChanges([...rows].reverse())).toEqual(listChanges(rows));
});

test('a capped list still tells how many there are', () => {
  expect(listChanges(rows, 2).fixed).toEqual({ count: 3, taskIds: ['b0', 't1'] });
  expect(listChanges([])).toEqual({
    fixed: { count: 0, taskIds: [] },
    broken: { count: 0, taskIds: [] },
    slices: [],
  });
});

test('of repeats the majority counts, and a tie is not right', () => {
  const changes = listChanges([
    row('s', 'tie-to-right', 0.5, 0.75),
    row('s', 'right-to-tie', 0.75, 0.5),
    row('s', 'better-but-right-before', 0.75, 1),
  ]);
  expect(changes.fixed.taskIds).toEqual(['tie-to-right']);
  expect(changes.broken.taskIds).toEqual(['right-to-tie']);
});
