import { createHash, randomBytes } from 'node:crypto';
import { ListMultipartUploadsCommand, S3Client } from '@aws-sdk/client-s3';
import { createS3ObjectStore } from '../../src/adapters/s3-store';
import { InvalidInputError, TransientError } from '../../src/errors';
import type { ObjectStore, PutOptions, PutOutcome } from '../../src/storage/object-store';
import { type Fault, type FaultyProxy, startFaultyProxy } from '../helpers/faulty-proxy';
import { newBucket, sharedMinio } from '../helpers/minio-server';

// A real MinIO behind a proxy that fails. `behind` is what we test; `direct` sees what is really there.

const MIB = 1024 * 1024;
const TIMEOUT_MS = 500;
const large = new Uint8Array(randomBytes(11 * MIB)); // three parts
let bucket: Awaited<ReturnType<typeof newBucket>>;
let prefix: string;
let proxy: FaultyProxy;
let behind: ObjectStore;
let direct: ObjectStore;

beforeAll(async () => {
  bucket = await newBucket();
});
beforeEach(async () => {
  proxy = await startFaultyProxy(sharedMinio().endpoint);
  prefix = `faults/${randomBytes(6).toString('hex')}`;
  const options = {
    ...bucket,
    prefix,
    partBytes: 5 * MIB,
    attempts: 3,
  };
  behind = createS3ObjectStore({
    ...options,
    endpoint: proxy.endpoint,
    requestTimeoutMs: TIMEOUT_MS,
  });
  direct = createS3ObjectStore(options);
});
afterEach(() => proxy.close());

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const textAt = async (key: string): Promise<string> =>
  new TextDecoder().decode((await direct.get(key)).bytes);
const etagOf = (outcome: PutOutcome): string => {
  if (!outcome.committed) throw new Error('expected the put to commit');
  return outcome.etag;
};
async function* chunksOf(body: Uint8Array): AsyncIterable<Uint8Array> {
  for (let at = 0; at < body.byteLength; at += 700_001) yield body.subarray(at, at + 700_001);
}
const commits = (url: string): boolean => !url.includes('uploads') && !url.includes('partNumber');

/** Each of these may have been carried out, as far as the client can tell. */
const UNCERTAIN: readonly [string, Fault][] = [
  ['the answer got lost', { kind: 'answer-lost' }],
  ['a gateway said 502 after it was carried out', { kind: 'disowned', status: 502 }],
  ['a gateway said 503 after it was carried out', { kind: 'disowned', status: 503 }],
  ['it was cut in the middle of its body', { kind: 'request-cut' }],
  ['the server failed', { kind: 'refused', status: 500 }],
  ['the answer came too late', { kind: 'delayed', ms: 2 * TIMEOUT_MS }],
];
const CONDITIONS: readonly [string, (etag: string) => PutOptions][] = [
  ['ifAbsent', () => ({ ifAbsent: true })],
  ['ifMatch', (etag) => ({ ifMatch: etag })],
];

describe.each(CONDITIONS)('a put with %s whose first request failed since', (mode, condition) => {
  const start = async (): Promise<PutOptions> =>
    condition(mode === 'ifMatch' ? etagOf(await direct.put('v1/a', bytes('before'))) : '');

  it.each(UNCERTAIN)('%s commits once, and knows it', async (_, fault) => {
    const options = await start();
    proxy.inject({ fault, method: 'PUT' });
    const outcome = await behind.put('v1/a', bytes('mine'), options);
    expect(proxy.takeCount()).toBe(1);
    await proxy.settled();
    expect(outcome).toEqual({ committed: true, etag: (await direct.head('v1/a'))?.etag });
    expect(await textAt('v1/a')).toBe('mine');
  });

  it.each(UNCERTAIN)('%s, time after time, is a TransientError', async (_, fault) => {
    const options = await start();
    proxy.inject({ fault, method: 'PUT', times: 3 });
    const put = behind.put('v1/a', bytes('mine'), options);
    await expect(put).rejects.toThrow(TransientError);
    await proxy.settled();
    // Whether it was committed or not, the caller's retry gets to the truth.
    const again = await behind.put('v1/a', bytes('mine'), options);
    const current = (await direct.head('v1/a'))?.etag;
    expect([
      { committed: true, etag: current },
      { committed: false, current },
    ]).toContainEqual(again);
    expect(await textAt('v1/a')).toBe('mine');
  });

  it.each(UNCERTAIN)('%s is a TransientError if someone else wrote meanwhile', async (_, fault) => {
    const options = await start();
    proxy.inject({ fault, method: 'PUT' });
    const watched = watchFor(() => proxy.takeCount() === 1);
    const put = behind.put('v1/a', bytes('mine'), options);
    await watched;
    await proxy.settled();
    await direct.put('v1/a', bytes('theirs'));
    const outcome = await put.then(
      ({ committed }) => committed,
      (error: unknown) => error,
    );
    // Either ours came after theirs, or it was before, or nobody can tell; never "not committed".
    const now = await textAt('v1/a');
    expect(outcome === true ? ['mine', 'theirs'] : ['theirs']).toContain(now);
    if (outcome !== true) expect(outcome).toBeInstanceOf(TransientError);
  });
});

describe('a put that certainly was not carried out', () => {
  it.each<[string, Fault]>([
    ['SlowDown', s3Error(503, 'SlowDown')],
    ['a conflict of conditional writes', s3Error(409, 'ConditionalRequestConflict')],
    ['a digest that does not fit', s3Error(400, 'BadDigest')],
  ])('is sent again after %s, and a lost condition is still an outcome', async (_, fault) => {
    proxy.inject({ fault, method: 'PUT' });
    const etag = etagOf(await behind.put('v1/a', bytes('one'), { ifAbsent: true }));
    proxy.inject({ fault, method: 'PUT' });
    expect(await behind.put('v1/a', bytes('two'), { ifAbsent: true })).toEqual({
      committed: false,
      current: etag,
    });
    expect(proxy.takeCount()).toBe(2);
    expect(await textAt('v1/a')).toBe('one');
  });

  it('says how long the server asks us to wait', async () => {
    const fault = s3Error(503, 'SlowDown', { 'retry-after': '1' });
    proxy.inject({ fault, method: 'PUT', times: 3 });
    const error = await behind.put('v1/a', bytes('one')).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(TransientError);
    expect((error as TransientError).retryAfterMs).toBe(1_000);
  });

  it('is refused at once where a retry cannot help', async () => {
    proxy.inject({ fault: s3Error(403, 'AccessDenied'), method: 'PUT' });
    await expect(behind.put('v1/a', bytes('one'))).rejects.toThrow(InvalidInputError);
    expect(proxy.requests.filter((line) => line.startsWith('PUT'))).toHaveLength(1);
  });
});

describe('a put in parts', () => {
  const sha256 = createHash('sha256').update(large).digest('hex');
  const uploadsLeft = async (): Promise<number> => {
    const { endpoint, region, credentials } = { ...bucket, ...sharedMinio() };
    const client = new S3Client({ endpoint, region: region ?? '', credentials, forcePathStyle: true }); // prettier-ignore
    const { Uploads = [] } = await client.send(
      // MinIO lists the uploads of one key, not of a prefix.
      new ListMultipartUploadsCommand({ Bucket: bucket.bucket, Prefix: `${prefix}/v1/large` }),
    );
    return Uploads.length;
  };
  const isWhole = async (): Promise<boolean> =>
    Buffer.from(large).equals((await direct.get('v1/large')).bytes);

  it.each(UNCERTAIN)('survives that %s, for a part', async (_, fault) => {
    proxy.inject({ fault, method: 'PUT', when: (url) => url.includes('partNumber=2') });
    const outcome = await behind.put('v1/large', chunksOf(large), { ifAbsent: true, sha256 });
    expect([outcome.committed, proxy.takeCount(), await isWhole()]).toEqual([true, 1, true]);
  });

  it.each(UNCERTAIN)('survives that %s, for the request that completes it', async (_, fault) => {
    proxy.inject({ fault, method: 'POST', when: commits });
    const outcome = await behind.put('v1/large', large, { ifAbsent: true, sha256 });
    expect(proxy.takeCount()).toBe(1);
    await proxy.settled();
    expect(outcome).toEqual({ committed: true, etag: (await direct.head('v1/large'))?.etag });
    expect(await isWhole()).toBe(true);
    expect(await uploadsLeft()).toBe(0);
  });

  it('that is given up leaves no upload and no object', async () => {
    proxy.inject({ fault: { kind: 'request-cut' }, method: 'PUT', times: 99 });
    await expect(behind.put('v1/large', chunksOf(large))).rejects.toThrow(TransientError);
    async function* failing(): AsyncIterable<Uint8Array> {
      yield large;
      throw new Error('the source broke');
    }
    await expect(direct.put('v1/large', failing())).rejects.toThrow('the source broke');
    await expect(direct.put('v1/large', large, { sha256: '0'.repeat(64) })).rejects.toThrow(
      /nothing was written/,
    );
    expect([await direct.head('v1/large'), await uploadsLeft()]).toEqual([null, 0]);
  });
});

describe('a read', () => {
  beforeEach(() => direct.put('v1/large', large));
  const inTheMiddle = 3 * MIB;
  const CUTS: readonly [string, Fault][] = [
    ['is cut', { kind: 'answer-cut', afterBytes: inTheMiddle }],
    ['stalls', { kind: 'stalled', afterBytes: inTheMiddle }],
  ];

  it.each(CUTS)('whose answer %s goes on where it was', async (_, fault) => {
    proxy.inject({ fault, method: 'GET', times: 2 });
    const { bytes: got, etag } = await behind.get('v1/large');
    expect(Buffer.from(large).equals(got)).toBe(true);
    expect(etag).toBe((await direct.head('v1/large'))?.etag);
    expect(proxy.takeCount()).toBe(2);
  });

  it.each(CUTS)('whose answer %s never goes on with another version', async (_, fault) => {
    proxy.inject({ fault, method: 'GET' });
    const reading = (async () => {
      let at = 0;
      for await (const chunk of behind.getStream('v1/large')) {
        expect(Buffer.from(chunk).equals(large.subarray(at, at + chunk.byteLength))).toBe(true);
        if (at === 0) await direct.put('v1/large', new Uint8Array(large.byteLength));
        at += chunk.byteLength;
      }
    })();
    await expect(reading).rejects.toThrow(/replaced or deleted .* begin again/);
    await expect(reading).rejects.toThrow(TransientError);
  });

  it('that is late, or refused for now, is asked for again', async () => {
    proxy.inject({ fault: { kind: 'delayed', ms: 2 * TIMEOUT_MS }, method: 'GET' });
    proxy.inject({ fault: { kind: 'refused', status: 503 }, method: 'GET' });
    expect((await behind.get('v1/large')).bytes.byteLength).toBe(large.byteLength);
    expect(proxy.takeCount()).toBe(2);
  });

  it('of a server that is gone is a TransientError', async () => {
    await proxy.close();
    await expect(behind.get('v1/large')).rejects.toThrow(TransientError);
    await expect(behind.head('v1/large')).rejects.toThrow(/could not be reached/);
  });
});

function s3Error(status: number, code: string, headers: Record<string, string> = {}): Fault {
  const body = `<?xml version="1.0"?><Error><Code>${code}</Code><Message>as asked</Message></Error>`;
  return {
    kind: 'refused',
    status,
    headers: { 'content-type': 'application/xml', ...headers },
    body,
  };
}

async function watchFor(isThere: () => boolean): Promise<void> {
  while (!isThere()) await new Promise((resolve) => setTimeout(resolve, 1));
}
