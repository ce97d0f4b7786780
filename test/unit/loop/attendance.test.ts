import {
  decideAttendance,
  type AttendanceMemory,
  type AttendanceView,
  type SilentQueue,
} from '../../../src/loop/attendance';

const PATIENCE_MS = 30_000;
const SINCE = '2026-11-24T08:00:00.000Z';
const waiting = (workflow: string, queue = 'gpu'): AttendanceView['waiting'][number] => ({
  ...{ workflow, queue, since: SINCE },
});

/** What the server shows at each look, one every 10 s; answers what the last of them says. */
function looks(
  ...views: readonly Partial<AttendanceView>[]
): ReadonlyMap<string, readonly SilentQueue[]> {
  let memory: AttendanceMemory = new Map();
  let silent: ReadonlyMap<string, readonly SilentQueue[]> = new Map();
  views.forEach((view, index) => {
    const whole = { waiting: [], busy: new Set<string>(), lastPollMs: new Map(), ...view };
    ({ memory, silent } = decideAttendance(memory, whole, 500 + index * 10_000, PATIENCE_MS));
  });
  return silent;
}
const polled = (ms: number): Partial<AttendanceView> => ({ lastPollMs: new Map([['gpu', ms]]) });
const busy: Partial<AttendanceView> = { busy: new Set(['gpu']) };
const waits: Partial<AttendanceView> = { waiting: [waiting('a')] };
const unattended = [{ queue: 'gpu', since: SINCE, isUnattended: true }];
const notYet = [{ queue: 'gpu', since: SINCE, isUnattended: false }];

describe('a queue is unattended', () => {
  it('when work has waited for 30 s without a poll', () => {
    expect(looks(waits, waits, waits).get('a')).toEqual(notYet);
    expect(looks(waits, waits, waits, waits).get('a')).toEqual(unattended);
  });

  it('also when the server still lists the poller that died', () => {
    const dead = { ...waits, ...polled(1) };
    expect(looks(dead, dead, dead, dead).get('a')).toEqual(unattended);
  });

  it('counted anew from the last poll that was seen', () => {
    const [before, after] = [
      { ...waits, ...polled(1) },
      { ...waits, ...polled(2) },
    ];
    expect(looks(before, before, after, after, after, after).get('a')).toEqual(notYet);
    expect(looks(before, before, after, after, after, after, after).get('a')).toEqual(unattended);
  });

  it('at once for work that joins others on it', () => {
    const both = { waiting: [waiting('a'), waiting('b'), waiting('b')] };
    expect(looks(waits, waits, waits, waits, both).get('b')).toEqual(unattended);
  });
});

describe('a queue is attended', () => {
  it('while nothing waits on it, however long nobody polls', () => {
    expect(looks({}, {}, {}, {}, {}, waits).get('a')).toEqual(notYet);
  });

  it('while its worker is busy with other work: a second one would not mend anything', () => {
    const behind = { ...waits, ...busy };
    expect(looks(behind, behind, behind, behind, behind).get('a')).toBeUndefined();
  });

  it('as soon as somebody polls again', () => {
    expect(looks(waits, waits, waits, waits, { ...waits, ...polled(9) }).get('a')).toEqual(
      undefined,
    );
  });
});

test('queues are told apart', () => {
  const view = { waiting: [waiting('a'), waiting('a', 'rollout')], busy: new Set(['rollout']) };
  expect(looks(view, view, view, view).get('a')).toEqual(unattended);
});
