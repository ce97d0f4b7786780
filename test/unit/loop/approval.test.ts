import { decideReview, type ApprovalState, type ReviewOutcome } from '../../../src/loop/approval';
import type { ApprovalRecord, ApprovalRequest, Review } from '../../../src/schemas/approval';
import { digest } from '../../fakes/fake-activities';

const deadline = '2026-12-01T08:00:00.000Z';
const request: ApprovalRequest = {
  candidate: `sha256:${'ab'.repeat(32)}`,
  evaluation: digest(2),
  dataset: digest(3),
  champion: { digest: digest(1), generation: 1 },
  requestedAt: '2026-11-24T08:00:00.000Z',
  deadline,
};
const record: ApprovalRecord = {
  ...{ request, decision: 'approve', by: 'ops-lead', at: '2026-11-24T09:00:00.000Z' },
  ...{ via: 'signal', authenticated: false },
};
const open: ApprovalState = { kind: 'open', request };
const approve: Review = { candidate: 'ab'.repeat(6), by: 'ops-lead', decision: 'approve' };
const NOW = Date.parse('2026-11-24T10:00:00.000Z');

const decide = (state: ApprovalState, review: Partial<Review> = {}, nowMs = NOW): ReviewOutcome =>
  decideReview(state, ['ops-lead', 'cto'], { ...approve, ...review }, 'update', nowMs);

describe('a review that counts', () => {
  it('becomes a record of who decided what, when and how', () => {
    expect(decide(open, { comment: 'looks good' })).toEqual({
      kind: 'accepted',
      record: {
        ...{ request, decision: 'approve', by: 'ops-lead', comment: 'looks good' },
        ...{ at: '2026-11-24T10:00:00.000Z', via: 'update', authenticated: false },
      },
    });
  });

  it('may be a rejection, by any of the approvers', () => {
    expect(decide(open, { decision: 'reject', by: 'cto' })).toMatchObject({
      kind: 'accepted',
      record: { decision: 'reject', by: 'cto' },
    });
  });

  it.each([
    ['the whole digest', request.candidate],
    ['its hexadecimal digits', 'ab'.repeat(32)],
    ['twelve of them', 'ab'.repeat(6)],
    ['twelve of them with sha256:', `sha256:${'ab'.repeat(6)}`],
  ])('names its candidate by %s', (_, candidate) => {
    expect(decide(open, { candidate }).kind).toBe('accepted');
  });

  it('comes up to the very deadline', () => {
    expect(decide(open, {}, Date.parse(deadline)).kind).toBe('accepted');
  });
});

describe('a review that is refused', () => {
  const after = Date.parse(deadline) + 1;
  const other = { candidate: 'cd'.repeat(6) };
  it.each<[string, ApprovalState, Partial<Review>, number, string, RegExp]>([
    ['comes before the question', { kind: 'not-asked' }, {}, NOW, 'not-asked', /nothing awaits/],
    ['is by a stranger', open, { by: 'eve' }, NOW, 'stranger', /eve may not.*ops-lead, cto/],
    ['names another candidate', open, other, NOW, 'other-candidate', /is abababababab, .*names cd/],
    ['is late', open, {}, after, 'late', /deadline was 2026-12-01T08:00:00.000Z; start a new/],
    ['comes after the question expired', { kind: 'expired', request }, {}, NOW, 'late', /deadline/],
    [
      'comes twice',
      { kind: 'decided', record },
      {},
      NOW,
      'already-decided',
      /ops-lead already decided: approve abababababab/,
    ],
    ['is by a stranger and late', open, { by: 'eve' }, after, 'stranger', /eve may not/],
    ['is of another candidate and late', open, other, after, 'other-candidate', /names cd/],
  ])('%s', (_, state, review, nowMs, code, reason) => {
    expect(decide(state, review, nowMs)).toEqual({
      kind: 'refused',
      code,
      reason: expect.stringMatching(reason) as string,
    });
  });

  it('says the same about a candidate to a stranger, right or wrong', () => {
    const told = (candidate: string): ReviewOutcome => decide(open, { by: 'eve', candidate });
    expect(told('cd'.repeat(6))).toEqual(told('ab'.repeat(6)));
  });
});
