import { mergeSessions } from '../../../src/gateway/recording/live-segments';
import type { Decision } from '../../../src/schemas/decision';
import type { LiveLine } from '../../../src/schemas/live-line';
import type { SegmentLine } from '../../../src/schemas/trajectory';
import { recordedCall } from './recorded-call';

function segment(session: string, decisions: readonly Partial<Decision>[]): SegmentLine[] {
  return [
    { type: 'message', id: 'question', message: { role: 'user', content: 'why?' } },
    {
      type: 'trajectory',
      trajectory: {
        ...{ id: session, agent: 'desk', task: null, attempt: 1, member: 0, outcome: null },
        decisions: decisions.map((decision) => recordedCall(decision).decision),
      },
    },
  ];
}

const at = (second: number): string =>
  new Date(Date.UTC(2026, 10, 23, 12, 0, second)).toISOString();
const first = segment('s', [{ id: 'a', at: at(1), sequence: 1 }]);
const second = segment('s', [
  { id: 'c', at: at(3), sequence: 3 },
  { id: 'b', at: at(2), sequence: 2 },
  { id: 'a', at: at(4), sequence: 1 },
]);
const other = segment('t', [{ id: 'd', at: at(1), sequence: 1 }]);

describe('merged sessions', () => {
  test('hold each decision once, numbered in the order in which they were answered', () => {
    const { trajectories, messages } = mergeSessions([...first, ...second, ...other]);
    expect(
      trajectories.map(({ id, decisions }) => [id, decisions.map((d) => [d.id, d.sequence])]),
    ).toEqual([
      [
        's',
        [
          ['a', 1],
          ['b', 2],
          ['c', 3],
        ],
      ],
      ['t', [['d', 1]]],
    ]);
    expect([...messages.keys()]).toEqual(['question']);
  });

  test('are told apart from calls that nobody answered, each of which counts once', () => {
    const call = { id: 'req_1', session: 's', agent: 'desk', model: 'ratchet/support', at: at(9) };
    const lines: LiveLine[] = [
      ...first,
      { type: 'unresolved', call },
      { type: 'unresolved', call },
    ];
    const { trajectories, unresolved } = mergeSessions(lines);
    expect(unresolved).toEqual([call]);
    expect(trajectories).toEqual(mergeSessions(first).trajectories);
  });

  test('do not depend on the order in which segments are read', () => {
    const forward = mergeSessions([...first, ...second]).trajectories;
    expect(mergeSessions([...second, ...first]).trajectories).toEqual(forward);
  });
});
