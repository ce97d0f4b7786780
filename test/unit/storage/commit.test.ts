import { IntegrityError, InvalidInputError, NotFoundError } from '../../../src/errors';
import { getBlob, putBlob } from '../../../src/storage/blobs';
import {
  readCheckpoint,
  readCheckpointFile,
  readCheckpointManifest,
  writeCheckpoint,
} from '../../../src/storage/checkpoints';
import type { DirectoryContent } from '../../../src/storage/commit';
import { readDataset, readDatasetFile, writeDataset } from '../../../src/storage/datasets';
import { sha256Hex } from '../../../src/storage/digest';
import { checkpointFolder } from '../../../src/storage/keys';
import type { ObjectStore } from '../../../src/storage/object-store';
import { createMemoryObjectStore } from '../../fakes/memory-object-store';
import { dyingStore } from '../../fakes/dying-store';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const content: DirectoryContent = {
  files: new Map([
    ['model.safetensors', bytes('weights')],
    ['config.json', bytes('{}')],
  ]),
  metadata: { step: 3, parent: null },
};

async function dump(store: ObjectStore): Promise<Record<string, string>> {
  const objects: Record<string, string> = {};
  for await (const { key } of store.list('')) {
    objects[key] = new TextDecoder().decode((await store.get(key)).bytes);
  }
  return objects;
}

let store: ObjectStore;
beforeEach(() => {
  store = createMemoryObjectStore();
});

describe('a checkpoint', () => {
  it('is read back whole, under the hash of a manifest that names every byte', async () => {
    const digest = await writeCheckpoint(store, content);
    const manifestBytes = (await store.get(`${checkpointFolder(digest)}manifest.json`)).bytes;
    expect(digest).toBe(`sha256:${sha256Hex(manifestBytes)}`);
    expect(new TextDecoder().decode(manifestBytes)).toBe(
      `{"files":{"config.json":{"sha256":"${sha256Hex('{}')}","sizeBytes":2},"model.safetensors":{"sha256":"${sha256Hex('weights')}","sizeBytes":7}},"formatVersion":1,"kind":"checkpoint","metadata":{"parent":null,"step":3}}`,
    );
    const { manifest, files } = await readCheckpoint(store, digest);
    expect(manifest).toEqual(await readCheckpointManifest(store, digest));
    expect(manifest.metadata).toEqual(content.metadata);
    expect(files).toEqual(new Map([...content.files].sort()));
    expect(await readCheckpointFile(store, digest, 'config.json')).toEqual(bytes('{}'));
  });

  it('has the same digest whoever writes it, in whatever order', async () => {
    const reversed = new Map([...content.files].reverse());
    const metadata = { parent: null, step: 3 };
    const digest = await writeCheckpoint(store, content);
    const before = await dump(store);
    expect(await writeCheckpoint(store, { files: reversed, metadata })).toBe(digest);
    expect(await dump(store)).toEqual(before);
    expect(await writeCheckpoint(store, { ...content, metadata: { step: 4 } })).not.toBe(digest);
  });

  it('is not there after a crash before the manifest, and whole after the same work is done again', async () => {
    const unbroken = createMemoryObjectStore();
    const digest = await writeCheckpoint(unbroken, content);
    for (const answerLost of [false, true]) {
      for (let puts = 0; puts < 3; puts++) {
        const crashed = createMemoryObjectStore();
        const dying = dyingStore(crashed, { puts, answerLost });
        await expect(writeCheckpoint(dying, content)).rejects.toThrow('the process died');
        const isCommitted = answerLost && puts === 2;
        if (isCommitted) expect(await readCheckpoint(crashed, digest)).toBeDefined();
        else await expect(readCheckpoint(crashed, digest)).rejects.toThrow(NotFoundError);
        expect(await writeCheckpoint(crashed, content)).toBe(digest);
        expect(await dump(crashed)).toEqual(await dump(unbroken));
      }
    }
  });

  it('whose file was changed, cut or lost is refused, with the name of the file, what was expected and what was got', async () => {
    const digest = await writeCheckpoint(store, content);
    const key = `${checkpointFolder(digest)}model.safetensors`;
    for (const changed of ['weightz', 'weight', '']) {
      await store.put(key, bytes(changed));
      const reading = readCheckpoint(store, digest);
      await expect(reading).rejects.toThrow(IntegrityError);
      await expect(reading).rejects.toThrow(
        new RegExp(
          `expected sha256 ${sha256Hex('weights')} of 7 bytes, got sha256 ${sha256Hex(changed)} of ${changed.length} bytes.*file=model.safetensors`,
        ),
      );
      await expect(readCheckpointFile(store, digest, 'model.safetensors')).rejects.toThrow(
        IntegrityError,
      );
    }
    await store.delete(key);
    await expect(readCheckpoint(store, digest)).rejects.toThrow(
      /is missing.*file=model.safetensors/,
    );
    expect(await readCheckpointFile(store, digest, 'config.json')).toEqual(bytes('{}'));
  });

  it('whose manifest was changed is refused', async () => {
    const digest = await writeCheckpoint(store, content);
    const key = `${checkpointFolder(digest)}manifest.json`;
    const manifest = new TextDecoder().decode((await store.get(key)).bytes);
    await store.put(key, bytes(manifest.replace('"step":3', '"step":4')));
    await expect(readCheckpointManifest(store, digest)).rejects.toThrow(IntegrityError);
  });

  it('of a newer format, or of another kind, is refused though its hash is right', async () => {
    for (const [field, value] of [
      ['"formatVersion":1', '"formatVersion":2'],
      ['"kind":"checkpoint"', '"kind":"dataset"'],
    ] as const) {
      const first = await writeCheckpoint(store, content);
      const manifest = new TextDecoder().decode(
        (await store.get(`${checkpointFolder(first)}manifest.json`)).bytes,
      );
      const other = bytes(manifest.replace(field, value));
      await store.put(`${checkpointFolder(`sha256:${sha256Hex(other)}`)}manifest.json`, other);
      await expect(readCheckpointManifest(store, `sha256:${sha256Hex(other)}`)).rejects.toThrow(
        IntegrityError,
      );
    }
  });

  it('that was never written is not found; nor is a file that it does not list', async () => {
    const digest = await writeCheckpoint(store, content);
    await expect(readCheckpoint(store, `sha256:${'0'.repeat(64)}`)).rejects.toThrow(NotFoundError);
    for (const file of ['other', 'constructor', 'manifest.json']) {
      await expect(readCheckpointFile(store, digest, file)).rejects.toThrow(NotFoundError);
    }
  });

  it('takes no file that is called as the manifest or climbs out of its folder, and no metadata that is not JSON', async () => {
    for (const name of ['manifest.json', '../a', 'a/b', '', '.hidden']) {
      const files = new Map([[name, bytes('x')]]);
      await expect(writeCheckpoint(store, { files, metadata: {} })).rejects.toThrow(
        InvalidInputError,
      );
    }
    await expect(writeCheckpoint(store, { ...content, metadata: { loss: NaN } })).rejects.toThrow(
      InvalidInputError,
    );
    expect(await dump(store)).toEqual({});
  });

  it('can have files that are streamed, if they are what their hash and length say', async () => {
    async function* chunks(): AsyncIterable<Uint8Array> {
      yield bytes('wei');
      yield bytes('ghts');
    }
    const streamed = { sha256: sha256Hex('weights'), sizeBytes: 7, open: chunks };
    const files = new Map([...content.files, ['model.safetensors', streamed] as const]);
    expect(await writeCheckpoint(createMemoryObjectStore(), { ...content, files })).toBe(
      await writeCheckpoint(store, content),
    );
    for (const wrong of [
      { ...streamed, sizeBytes: 8 },
      { ...streamed, sha256: sha256Hex('other') },
    ]) {
      const bad = { files: new Map([['model.safetensors', wrong]]), metadata: {} };
      await expect(writeCheckpoint(createMemoryObjectStore(), bad)).rejects.toThrow(IntegrityError);
    }
  });
});

it('a dataset is committed in the same way, under its name', async () => {
  const digest = await writeDataset(store, 'clinc150', content);
  expect((await readDataset(store, 'clinc150', digest)).manifest.kind).toBe('dataset');
  expect(await readDatasetFile(store, 'clinc150', digest, 'config.json')).toEqual(bytes('{}'));
  await expect(readDataset(store, 'other', digest)).rejects.toThrow(NotFoundError);
  expect(digest).not.toBe(await writeCheckpoint(store, content));
});

it('a blob is found by its hash, written twice without harm, and refused when it was changed', async () => {
  const ref = await putBlob(store, bytes('blob'));
  expect(await putBlob(store, bytes('blob'))).toEqual(ref);
  expect(await getBlob(store, ref.sha256)).toEqual(bytes('blob'));
  await expect(getBlob(store, sha256Hex('none'))).rejects.toThrow(NotFoundError);
  await store.put(ref.key, bytes('glob'));
  await expect(getBlob(store, ref.sha256)).rejects.toThrow(IntegrityError);
});
