import { createBatchRecorder } from '../../../src/gateway/recording/batch-recorder';
import { IntegrityError } from '../../../src/errors';
import type { BatchManifest } from '../../../src/rollouts/batch-manifest';
import type { FinishedRollout } from '../../../src/rollouts/run-batch';
import { createSegmentDraft, segmentLines } from '../../../src/rollouts/segment-draft';
import { readSegments, type Segment } from '../../../src/rollouts/segment-reader';
import type { ObjectRef } from '../../../src/schemas/object-ref';
import type { SegmentLine } from '../../../src/schemas/trajectory';
import { writeJsonLines } from '../../../src/storage/json-objects';
import { runSegmentKey } from '../../../src/storage/keys';
import type { ObjectStore } from '../../../src/storage/object-store';
import { digest } from '../../fakes/fake-activities';
import { createMemoryObjectStore } from '../../fakes/memory-object-store';
import { idOf, recordedCall, tool, user } from './recorded-session';

async function finished(session: string, ...texts: string[]): Promise<FinishedRollout> {
  const recorder = createBatchRecorder();
  recorder.open(session);
  for (const [turn, text] of texts.entries())
    await recorder.record(recordedCall(session, text, { turn }));
  const recording = recorder.take(session);
  return {
    recording,
    trajectory: {
      ...{ id: session, task: 'task-1', agent: 'fake', attempt: 1, member: 0 },
      outcome: { kind: 'completed', result: null },
      decisions: [...recording.decisions],
    },
  };
}

async function writeBatch(
  store: ObjectStore,
  name: string,
  segments: readonly Iterable<SegmentLine>[],
): Promise<ObjectRef> {
  const refs: ObjectRef[] = [];
  for (const [index, lines] of segments.entries()) {
    const key = runSegmentKey('run', 0, 'trajectories', `${name}-${index}`);
    refs.push(await writeJsonLines(store, key, lines));
  }
  const manifest: BatchManifest = {
    ...{ formatVersion: 1, checkpoint: digest(1), segments: refs },
    ...{ rollouts: 1, outcomes: {}, drops: {} },
  };
  return writeJsonLines(store, runSegmentKey('run', 0, 'trajectories', name), [manifest]);
}

async function readAll(store: ObjectStore, batches: readonly ObjectRef[]): Promise<Segment[]> {
  const segments: Segment[] = [];
  for await (const segment of readSegments(store, batches)) segments.push(segment);
  return segments;
}

describe('the lines of a segment', () => {
  it('hold each message and each toolset once, before the first trajectory that names it', async () => {
    const rollouts = [
      await finished('s1', 'refund please', 'thanks'),
      await finished('s2', 'refund please'),
      await finished('s3', 'rain?'),
    ];
    const lines = [...segmentLines(rollouts)];
    const names = lines.map((line) =>
      line.type === 'trajectory' ? line.trajectory.id : line.type,
    );
    expect(names).toEqual([
      ...['toolset', 'message', 'message', 'message', 's1'], // two questions, one answer to both
      's2',
      ...['message', 's3'],
    ]);
  });

  it('are none for no rollouts', () => {
    expect([...segmentLines([])]).toEqual([]);
  });
});

describe('a segment that is put together rollout by rollout', () => {
  it('has the bytes of one that is written at once, and counts what happened', async () => {
    const store = createMemoryObjectStore();
    const done = [await finished('s1', 'refund please'), await finished('s2', 'refund please')];
    const outcome = { kind: 'infraFailed', reason: 'agent-crashed', detail: 'it broke' } as const;
    const lost = { recording: (await finished('s3', 'rain?')).recording };
    const rollouts: FinishedRollout[] = [
      ...done,
      { ...lost, trajectory: { ...(await finished('s3', 'rain?')).trajectory, outcome } },
    ];
    const draft = createSegmentDraft();
    for (const one of rollouts) draft.add(one);
    expect(draft).toMatchObject({
      rollouts: 3,
      outcomes: { completed: 2, infraFailed: 1 },
      drops: { 'agent-crashed': 1 },
    });
    expect({ ...(await draft.write(store, 'v1/draft.jsonl')), key: null }).toEqual({
      ...(await writeJsonLines(store, 'v1/whole.jsonl', segmentLines(rollouts))),
      key: null,
    });
  });
});

describe('reading segments', () => {
  it('gives back what was written, messages and toolsets by id', async () => {
    const store = createMemoryObjectStore();
    const rollouts = [await finished('s1', 'refund please'), await finished('s2', 'rain?')];
    const batch = await writeBatch(store, 'batch', [segmentLines(rollouts)]);
    const [segment] = await readAll(store, [batch]);
    expect(segment?.trajectories).toEqual(rollouts.map(({ trajectory }) => trajectory));
    expect(segment?.message(idOf(user('rain?')))).toEqual(user('rain?'));
    expect(segment?.toolset('tools-refund-weather')).toEqual([tool('refund'), tool('weather')]);
  });

  it('gives the same array for the same toolset', async () => {
    const store = createMemoryObjectStore();
    const rollouts = [await finished('s1', 'a'), await finished('s2', 'b')];
    const [segment] = await readAll(store, [
      await writeBatch(store, 'batch', [segmentLines(rollouts)]),
    ]);
    expect(segment?.toolset('tools-refund-weather')).toBe(segment?.toolset('tools-refund-weather'));
  });

  it('keeps the order of batches, segments and trajectories', async () => {
    const store = createMemoryObjectStore();
    const lines = async (...sessions: string[]): Promise<SegmentLine[]> => [
      ...segmentLines(await Promise.all(sessions.map((session) => finished(session, 'a')))),
    ];
    const first = await writeBatch(store, 'x', [await lines('s1', 's2'), await lines('s3')]);
    const second = await writeBatch(store, 'y', [await lines('s4')]);
    const segments = await readAll(store, [first, second]);
    expect(segments.map(({ trajectories }) => trajectories.map(({ id }) => id))).toEqual([
      ['s1', 's2'],
      ['s3'],
      ['s4'],
    ]);
  });

  it('names the message that a segment lacks', async () => {
    const store = createMemoryObjectStore();
    const lines = [...segmentLines([await finished('s1', 'refund please')])];
    const batch = await writeBatch(store, 'batch', [
      lines.filter((line) => line.type !== 'message'),
    ]);
    const [segment] = await readAll(store, [batch]);
    const id = idOf(user('refund please'));
    expect(() => segment?.message(id)).toThrow(IntegrityError);
    expect(() => segment?.message(id)).toThrow(`lacks a message that a decision names`);
    expect(() => segment?.message(id)).toThrow(id);
  });

  it('refuses a segment whose bytes were changed', async () => {
    const store = createMemoryObjectStore();
    const batch = await writeBatch(store, 'batch', [segmentLines([await finished('s1', 'a')])]);
    const key = runSegmentKey('run', 0, 'trajectories', 'batch-0');
    const { bytes } = await store.get(key);
    await store.put(key, Buffer.from(Buffer.from(bytes).toString().replace('task-1', 'task-2')));
    await expect(readAll(store, [batch])).rejects.toThrow(IntegrityError);
  });
});
