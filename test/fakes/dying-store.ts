import type { ObjectStore } from '../../src/storage/object-store';

/**
 * A store whose process dies at a put: the first `puts` of them work, the next one throws, before it writes anything or (`answerLost`) after it
 * committed. All that follows throws too.
 */
export function dyingStore(
  store: ObjectStore,
  { puts, answerLost }: { readonly puts: number; readonly answerLost: boolean },
): ObjectStore {
  let left = puts;
  return {
    ...store,
    async put(...args) {
      if (left-- > 0) return store.put(...args);
      if (answerLost && left === -1) await store.put(...args);
      throw new Error('the process died');
    },
  };
}
