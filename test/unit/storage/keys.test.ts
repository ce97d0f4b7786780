import { InvalidInputError } from '../../../src/errors';
import type { Digest } from '../../../src/schemas/ids';
import * as keys from '../../../src/storage/keys';
import { placeOf } from '../../../src/storage/layout';

const hex = '0123456789abcdef'.repeat(4);
const digest: Digest = `sha256:${hex}`;

it('builds the keys that FORMAT.md lists, and every one of them is valid', () => {
  const built = {
    blob: keys.blobKey(hex),
    checkpoint: `${keys.checkpointFolder(digest)}model.safetensors`,
    dataset: `${keys.datasetFolder('clinc150', digest)}manifest.json`,
    evaluation: keys.evaluationKey(digest),
    routing: keys.routingKey('support-desk'),
    promotion: keys.promotionKey('support-desk', 7, 'p-1'),
    rewards: keys.rewardsKey('2025-01-31', 'gateway-1'),
    trajectories: keys.runSegmentKey('Desk #1', 3, 'trajectories', 'a-1'),
    state: keys.runStateKey('desk', 3, 'a-1'),
    probe: keys.probeKey('p-1'),
    run: keys.runRecordKey('Desk #1'),
    dropped: keys.runDroppedKey('desk'),
    record: keys.iterationRecordKey('desk', 3, 'trained', hex),
    evidence: keys.evidenceKey(digest, hex),
    claim: keys.claimKey('c-1'),
    mark: keys.gcMarkKey('m-1'),
    collector: keys.gcStateKey(),
    quarantined: keys.quarantineKey(`v1/blobs/${hex}`, hex, 'note'),
    live: keys.liveSegmentKey('desk', '2025-01-31', 4, 's-1'),
  };
  expect(built).toEqual({
    blob: `v1/blobs/${hex}`,
    checkpoint: `v1/checkpoints/${hex}/model.safetensors`,
    dataset: `v1/datasets/clinc150/${hex}/manifest.json`,
    evaluation: `v1/evaluations/${hex}.json`,
    routing: 'v1/policies/support-desk/routing.json',
    promotion: 'v1/policies/support-desk/promotions/0000000007-p-1.json',
    rewards: 'v1/rewards/2025-01-31/gateway-1.jsonl',
    trajectories: 'v1/runs/Desk=20=231/000003/trajectories/a-1.jsonl',
    state: 'v1/runs/desk/000003/state/a-1.bin',
    probe: 'v1/probes/p-1',
    run: 'v1/runs/Desk=20=231/run.json',
    dropped: 'v1/runs/desk/dropped.json',
    record: `v1/runs/desk/000003/records/trained-${hex}.json`,
    evidence: `v1/evaluations/${hex}/evidence-${hex}.json`,
    claim: 'v1/claims/c-1.json',
    mark: 'v1/gc/marks/m-1.jsonl',
    collector: 'v1/gc/state.json',
    quarantined: `v1/quarantine/blobs/${hex}/${hex}.json`,
    live: 'v1/live/desk/2025-01-31/04/s-1.jsonl',
  });
  for (const key of Object.values(built)) expect(() => keys.assertKey(key)).not.toThrow();
});

it('every key is read backwards as what it was built for', () => {
  const places: [string, string][] = [
    [keys.blobKey(hex), 'blob'],
    [`${keys.checkpointFolder(digest)}model.safetensors`, 'checkpoint'],
    [`${keys.datasetFolder('clinc150', digest)}manifest.json`, 'dataset'],
    [keys.evaluationKey(digest), 'evaluation'],
    [keys.evidenceKey(digest, hex), 'evidence'],
    [keys.routingKey('support-desk'), 'routing'],
    [keys.promotionKey('support-desk', 7, 'p-1'), 'promotion'],
    [keys.runRecordKey('Desk #1'), 'run'],
    [keys.runDroppedKey('desk'), 'dropped'],
    [keys.iterationRecordKey('desk', 3, 'scored', hex), 'record'],
    [keys.runSegmentKey('Desk #1', 3, 'trajectories', 'a-1'), 'trajectories'],
    [keys.runSegmentKey('desk', 3, 'rewards', 'a-1'), 'rewards'],
    [keys.runStateKey('desk', 3, 'a-1'), 'state'],
    [keys.rewardsKey('2025-01-31', 'gateway-1'), 'feedback'],
    [keys.liveSegmentKey('desk', '2025-01-31', 4, 's-1'), 'live'],
    [keys.claimKey('c-1'), 'claim'],
    [keys.gcMarkKey('m-1'), 'gc'],
    [keys.quarantineKey(keys.blobKey(hex), hex, 'bytes'), 'quarantine'],
    ['v1/somebody/elses', 'unknown'],
  ];
  for (const [key, kind] of places) expect([key, placeOf(key).kind]).toEqual([key, kind]);
  expect(placeOf(`${keys.checkpointFolder(digest)}manifest.json`)).toMatchObject({
    ...{ digest, file: 'manifest.json', isManifest: true, folder: keys.checkpointFolder(digest) },
  });
});

it('prefixes are prefixes of their keys', () => {
  expect(keys.runSegmentKey('r', 2, 'rewards', 'a').startsWith(keys.runPrefix('r', 2))).toBe(true);
  expect(keys.runPrefix('r', 2).startsWith(keys.runPrefix('r'))).toBe(true);
  expect(keys.rewardsKey('2025-01-31', 'a').startsWith(keys.rewardsPrefix('2025-01-31'))).toBe(
    true,
  );
  expect(keys.rewardsPrefix('2025-01-31').startsWith(keys.rewardsPrefix())).toBe(true);
  expect(keys.promotionKey('p', 1, 'a').startsWith(keys.promotionsPrefix('p'))).toBe(true);
  expect(keys.routingKey('p').startsWith(keys.policiesPrefix())).toBe(true);
  const live = keys.liveSegmentKey('d', '2025-01-31', 4, 's');
  expect(live.startsWith(keys.livePrefix('d', '2025-01-31'))).toBe(true);
  expect(live.startsWith(keys.livePrefix('d'))).toBe(true);
});

it('the order of keys is the order of generations', () => {
  const inOrder = [2, 10, 9_999_999_999].map((generation) =>
    keys.promotionKey('p', generation, 'x'),
  );
  expect([...inOrder].sort()).toEqual(inOrder);
});

it.each([
  ['a policy with a capital', () => keys.routingKey('Desk')],
  ['a policy that climbs out', () => keys.routingKey('../other')],
  ['an empty agent', () => keys.livePrefix('')],
  ['a digest without its algorithm', () => keys.checkpointFolder(hex as Digest)],
  ['a short digest', () => keys.evaluationKey('sha256:abc')],
  ['a hash with capitals', () => keys.blobKey(hex.toUpperCase())],
  ['a promotion id with a slash', () => keys.promotionKey('p', 1, 'a/b')],
  ['a negative generation', () => keys.promotionKey('p', -1, 'a')],
  ['half a generation', () => keys.promotionKey('p', 0.5, 'a')],
  ['an iteration of seven digits', () => keys.runPrefix('r', 1_000_000)],
  ['an impossible day', () => keys.rewardsPrefix('2025-13-01')],
  ['an instant for a day', () => keys.rewardsPrefix('2025-01-01T00:00:00Z')],
  ['hour 24', () => keys.liveSegmentKey('a', '2025-01-01', 24, 's')],
  ['a run without a name', () => keys.runPrefix('')],
  ['a hidden segment', () => keys.rewardsKey('2025-01-01', '.a')],
])('refuses %s', (_, build) => {
  expect(build).toThrow(InvalidInputError);
});

it('makes a segment of any text, and never the same one of two', () => {
  const texts = [
    'a',
    'A',
    'a b',
    'a=20b',
    'a=b',
    '.',
    '..',
    '.a',
    'a.',
    'é',
    'e\u0301',
    '/',
    '\0',
    '=',
    'a/b',
    'ab',
    '💡',
  ];
  const long = ['x'.repeat(500), `${'x'.repeat(499)}y`, 'ü'.repeat(60)];
  const segments = [...texts, ...long].map(keys.toKeySegment);
  expect(new Set(segments).size).toBe(segments.length);
  for (const segment of segments) expect(() => keys.assertKey(segment)).not.toThrow();
  expect(keys.toKeySegment('support-desk_1.b')).toBe('support-desk_1.b');
});
