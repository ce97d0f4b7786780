import { createMemoryObjectStore } from '../fakes/memory-object-store';
import { objectStoreContract } from './object-store.contract';

objectStoreContract(
  'the store in memory',
  async () => ({ store: createMemoryObjectStore(), close: async () => undefined }),
  { oneProcess: 'it is an object in the memory of one process' },
);
