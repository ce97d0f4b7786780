import { observeStore } from '../../src/storage/observed-store';
import { createMemoryObjectStore } from '../fakes/memory-object-store';
import { createRecordingMeter } from '../fakes/recording-meter';
import { objectStoreContract } from './object-store.contract';

// The decorator of every process: what it observes it must not change.
objectStoreContract(
  'an observed store',
  async () => ({
    store: observeStore(createMemoryObjectStore(), createRecordingMeter()),
    close: async () => undefined,
  }),
  { oneProcess: 'it is an object in the memory of one process' },
);
