import { retain } from '../../../src/erasure/retain';
import { verifyStore } from '../../../src/integrity/verify-store';
import { countReplaced } from '../../../src/privacy/count-replaced';
import type { ObjectStore } from '../../../src/storage/object-store';
import { reindexAgent } from '../../../src/trajectories/reindex';
import { renderReplaced } from '../../../workers/privacy-commands';
import { FAULTS, faultyStore } from '../../fakes/faulty-store';
import { createMemoryObjectStore } from '../../fakes/memory-object-store';
import { at, feedback, ms, putFeedback, putSegment, user } from '../trajectories/live-store';

const HOUR = 3_600_000;
const EMAIL = `[email:${'abcdefgh'.repeat(2)}]`;
const OTHER = `[email:${'hgfedcba'.repeat(2)}]`;

let store: ObjectStore;
beforeEach(async () => {
  store = createMemoryObjectStore();
  await filled(store);
});

async function filled(into: ObjectStore): Promise<void> {
  for (const hour of ['08', '09', '11']) {
    await putSegment(into, `at-${hour}`, [
      {
        session: 'live/desk/s',
        decision: { id: `d${hour}`, at: at(`${hour}:30:00`), untrainable: 'redacted' },
        messages: [user(`${EMAIL} and ${EMAIL}`), user(`${hour} ${OTHER}`)],
      },
    ]);
  }
  await reindexAgent(into, 'desk');
  await putFeedback(into, feedback({ at: '2026-11-20T12:00:00.000Z' }));
  await putFeedback(into, feedback({ at: at('12:00:00'), comment: `ask ${EMAIL}` }));
}

const keys = async (of: ObjectStore = store): Promise<string[]> => {
  const all: string[] = [];
  for await (const { key } of of.list('')) all.push(key.replace(/[0-9a-f]{64}/, '…'));
  return all;
};

const options = { liveMs: 2 * HOUR, feedbackMs: 24 * HOUR, nowMs: ms('12:10:00'), isDryRun: false };
const LEFT = [
  'v1/live-hours/desk/2026-11-23/11.json',
  'v1/live/desk/2026-11-23/11/at-11.jsonl',
  'v1/rewards/2026-11-23/….jsonl',
];

it('whole hours and days that are too old go, and the store is whole', async () => {
  const gone = { segments: 2, hours: 2, feedback: 1, quarantined: 0 };
  expect(await retain(store, { ...options, isDryRun: true })).toEqual(gone);
  expect(await keys()).toHaveLength(8);
  expect(await retain(store, options)).toEqual(gone);
  expect(await keys()).toEqual(LEFT);
  expect((await verifyStore(store, { isDeep: true, doesQuarantine: false })).findings).toEqual([]);
});

it('what has no age is kept', async () => {
  await retain(store, { ...options, liveMs: null, feedbackMs: null });
  expect(await keys()).toHaveLength(8);
});

it('after a fault at any write the same again reaches the same end', async () => {
  for (const fault of FAULTS) {
    for (let nth = 0; nth < 8; nth++) {
      const own = createMemoryObjectStore();
      await filled(own);
      const faulty = faultyStore(own, nth, fault);
      await retain(faulty, options).catch(() => undefined);
      const report = await verifyStore(own, { isDeep: false, doesQuarantine: false });
      expect(report.findings.filter(({ problem }) => problem === 'missing')).toEqual([]);
      await faulty.settle();
      await retain(own, options);
      expect(await keys(own)).toEqual(LEFT);
    }
  }
});

it('the report counts what was replaced by agent and kind, each message once, and shows no value', async () => {
  const report = await countReplaced(store, null, { fromMs: ms('00:00:00'), toMs: ms('23:00:00') });
  expect(report.kinds).toEqual([{ agent: 'desk', kind: 'email', values: 2, places: 5 }]);
  expect(report.untrainable).toEqual(new Map([['desk', 3]]));
  const text = renderReplaced(report);
  expect(text).toContain('email');
  expect(text).not.toContain('abcdefgh');
  const other = { fromMs: ms('11:00:00'), toMs: ms('11:59:00') };
  expect((await countReplaced(store, ['other'], other)).kinds).toEqual([]);
});
