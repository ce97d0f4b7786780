import { unattendedNote, withAttended, withUnattended } from '../../../src/loop/attention';

const since = '2026-11-24T08:00:00.000Z';

describe('the note on a queue that nobody polls', () => {
  it.each([
    ['ratchet', 'ratchet-gpu', 'npm run ratchet -- worker --roles gpu'],
    ['ratchet', 'ratchet-rollout', 'npm run ratchet -- worker --roles rollout'],
    ['lab', 'lab-gpu', 'RATCHET_TASK_QUEUE=lab npm run ratchet -- worker --roles gpu'],
    ['ratchet', 'other', 'npm run ratchet -- worker --roles control,rollout,gpu'],
  ])('on %s: %s is polled after `%s`', (control, queue, line) => {
    expect(unattendedNote('training', { queue, since }, control)).toEqual({
      step: 'training',
      reason: `nobody polls ${queue}: work waits there since ${since} and starts by itself once a worker is up`,
      line,
    });
  });
});

test('a report that says nothing new leaves the very same list', () => {
  const known = withUnattended([], { queue: 'a', since });
  expect(known).toEqual([{ queue: 'a', since }]);
  expect(withUnattended(known, { queue: 'a', since: '2026-11-25T08:00:00.000Z' })).toBe(known);
  expect(withAttended(known, 'b')).toBe(known);
  expect(withAttended(known, 'a')).toEqual([]);
});
