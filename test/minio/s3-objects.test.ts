import dns from 'node:dns';
import { createHash, randomBytes } from 'node:crypto';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { createS3ObjectStore, type S3Options } from '../../src/adapters/s3-store';
import { IntegrityError, InvalidInputError } from '../../src/errors';
import type { ObjectStore } from '../../src/storage/object-store';
import { newBucket, sharedMinio, startTestMinio } from '../helpers/minio-server';

// What the contract does not ask: parts, what others put into the bucket, and how the bucket is addressed.

const MIB = 1024 * 1024;
let bucket: S3Options;
let prefix: string;
let store: ObjectStore;

beforeAll(async () => {
  bucket = await newBucket();
});
beforeEach(() => {
  prefix = `objects/${randomBytes(6).toString('hex')}`;
  store = createS3ObjectStore({ ...bucket, prefix, partBytes: 5 * MIB });
});

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const etagIn = async (key: string): Promise<string> => (await store.head(key))?.etag ?? '';

/** Something that is not Ratchet writes into the bucket. */
async function putForeign(key: string, body: string, sha256?: string): Promise<void> {
  const { endpoint, credentials } = sharedMinio();
  const client = new S3Client({ endpoint, credentials, region: 'us-east-1', forcePathStyle: true });
  const Metadata = sha256 === undefined ? {} : { 'ratchet-sha256': sha256 };
  await client.send(
    new PutObjectCommand({ Bucket: bucket.bucket, Key: `${prefix}/${key}`, Body: body, Metadata }),
  );
}

it('a listing has nothing that no key can name, and its limit counts without it', async () => {
  for (const key of ['v1/', 'v1/.hidden', 'v1/two words']) await putForeign(key, '');
  for (const key of ['v1/a', 'v1/b', 'v1/c']) await store.put(key, bytes('x'));
  const keys = async (limit?: number): Promise<string[]> => {
    const found: string[] = [];
    for await (const { key } of store.list('v1/', limit === undefined ? {} : { limit }))
      found.push(key);
    return found;
  };
  expect(await keys()).toEqual(['v1/a', 'v1/b', 'v1/c']);
  expect(await keys(2)).toEqual(['v1/a', 'v1/b']);
});

describe('a body in parts', () => {
  const large = new Uint8Array(randomBytes(12 * MIB + 17));
  const sha256 = createHash('sha256').update(large).digest('hex');
  async function* chunks(): AsyncIterable<Uint8Array> {
    for (let at = 0; at < large.length; at += 999_983) yield large.subarray(at, at + 999_983);
  }

  it('keeps conditions, hash and ranges', async () => {
    const first = await store.put('v1/l', chunks(), { ifAbsent: true, sha256 });
    const etag = await etagIn('v1/l');
    expect(first).toEqual({ committed: true, etag });
    const lost = { committed: false, current: etag };
    expect(await store.put('v1/l', chunks(), { ifAbsent: true })).toEqual(lost);
    expect(await store.put('v1/l', large, { ifAbsent: true })).toEqual(lost);
    const wrong = store.put('v1/m', chunks(), { sha256: '0'.repeat(64) });
    await expect(wrong).rejects.toThrow(IntegrityError);
    expect(await store.head('v1/m')).toBeNull();
    const range = { start: 5 * MIB - 3, end: 5 * MIB + 3 };
    const got: Uint8Array[] = [];
    for await (const chunk of store.getStream('v1/l', range)) got.push(chunk);
    expect(Buffer.concat(got).equals(large.subarray(range.start, range.end))).toBe(true);
  });

  it('is swapped by exactly one of several, also for the very same bytes', async () => {
    let outcome = await store.put('v1/l', large, { sha256 });
    for (let round = 0; round < 2 && outcome.committed; round++) {
      const ifMatch = outcome.etag;
      const outcomes = await Promise.all(
        [1, 2, 3].map(() => store.put('v1/l', large, { ifMatch })),
      );
      const winners = outcomes.filter(({ committed }) => committed);
      expect(winners).toHaveLength(1);
      outcome = winners[0]!;
    }
  });

  it.each([5 * MIB, 5 * MIB + 1, 10 * MIB])('is whole at %d bytes', async (length) => {
    const body = large.subarray(0, length);
    for (const put of [
      body,
      (async function* () {
        yield body;
      })(),
    ]) {
      // prettier-ignore
      await store.put('v1/l', put);
      expect(Buffer.from(body).equals((await store.get('v1/l')).bytes)).toBe(true);
    }
  });
});

it('of swaps that write the very bytes that are there, exactly one commits, round after round', async () => {
  for (const body of ['same', '']) {
    let outcome = await store.put('v1/a', bytes(body));
    for (let round = 0; round < 4 && outcome.committed; round++) {
      const ifMatch = outcome.etag;
      const racers = Array.from({ length: 8 }, () => store.put('v1/a', bytes(body), { ifMatch }));
      const winners = (await Promise.all(racers)).filter(({ committed }) => committed);
      expect(winners).toHaveLength(1);
      outcome = winners[0]!;
    }
    expect((await store.get('v1/a')).bytes.byteLength).toBe(body.length);
  }
});

describe('an object that something else put into the bucket', () => {
  it('is read, and swapped by its etag', async () => {
    await putForeign('v1/a', 'theirs');
    const { etag } = await store.get('v1/a');
    expect(await etagIn('v1/a')).toBe(etag);
    expect((await store.put('v1/a', bytes('ours'), { ifMatch: etag })).committed).toBe(true);
    expect((await store.put('v1/a', bytes('ours'), { ifMatch: etag })).committed).toBe(false);
  });

  it('is an IntegrityError where it is not what its hash says, however it is read', async () => {
    await putForeign('v1/a', 'altered', createHash('sha256').update('original').digest('hex'));
    await expect(store.get('v1/a')).rejects.toThrow(IntegrityError);
    const read = async (): Promise<void> => {
      for await (const chunk of store.getStream('v1/a')) void chunk;
    };
    await expect(read()).rejects.toThrow(/not what was written: expected sha256 .* key=v1\/a/);
  });
});

describe('a prefix', () => {
  it('keeps stores in one bucket apart', async () => {
    const other = createS3ObjectStore({ ...bucket, prefix: `${prefix}x` });
    await store.put('v1/a', bytes('a'));
    expect(await other.head('v1/a')).toBeNull();
    const keys: string[] = [];
    for await (const { key } of other.list('')) keys.push(key);
    expect(keys).toEqual([]);
  });

  it.each(['/a', 'a/', 'a b', '..', 'x'.repeat(121)])('%j is refused', (wrong) => {
    expect(() => createS3ObjectStore({ ...bucket, prefix: wrong })).toThrow(InvalidInputError);
  });
});

it('a clock that is an hour off costs one request, once', async () => {
  const now = Date.now;
  const clock = jest.spyOn(Date, 'now').mockImplementation(() => now() - 3_600_000);
  try {
    const sent = jest.spyOn(S3Client.prototype, 'send');
    await store.put('v1/a', bytes('a'));
    await store.put('v1/b', bytes('b'));
    expect(sent).toHaveBeenCalledTimes(3);
    sent.mockRestore();
  } finally {
    clock.mockRestore();
  }
});

it('a bucket may be a name of its own in DNS', async () => {
  const minio = await startTestMinio({ MINIO_DOMAIN: 'store.test' });
  const lookup = jest.spyOn(dns, 'lookup').mockImplementation(((
    _host: string,
    options: { all?: boolean },
    done: (error: null, address: unknown, family?: number) => void,
  ) => {
    if (options.all === true) done(null, [{ address: '127.0.0.1', family: 4 }]);
    else done(null, '127.0.0.1', 4);
  }) as unknown as typeof dns.lookup);
  try {
    const made = await newBucket(minio);
    const endpoint = minio.endpoint.replace('127.0.0.1', 'store.test');
    const virtual = createS3ObjectStore({ ...made, endpoint, pathStyle: false });
    await virtual.put('v1/a', bytes('a'));
    expect(lookup.mock.calls[0]?.[0]).toBe(`${made.bucket}.store.test`);
    expect((await createS3ObjectStore(made).get('v1/a')).bytes).toEqual(bytes('a'));
  } finally {
    lookup.mockRestore();
    await minio.stop();
  }
});
