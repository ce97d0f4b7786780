import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLocalObjectStore } from '../../src/adapters/local-store';
import { objectStoreContract } from './object-store.contract';

objectStoreContract('the store of local files', async () => {
  const root = await mkdtemp(join(tmpdir(), 'ratchet-store-'));
  return {
    store: createLocalObjectStore({ root }),
    compiled: {
      module: 'src/adapters/local-store',
      create: 'createLocalObjectStore',
      options: { root },
    },
    close: () => rm(root, { recursive: true }),
  };
});
