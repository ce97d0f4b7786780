/** Documents that never change, read once. */
export interface DocumentCache {
  /** @param id of the document: its key, and where its content has a name that too. */
  read<T>(id: string, read: () => Promise<T>): Promise<T>;
}

export function createDocumentCache(): DocumentCache {
  const known = new Map<string, unknown>();
  return {
    async read<T>(id: string, read: () => Promise<T>): Promise<T> {
      if (known.has(id)) return known.get(id) as T;
      const value = await read();
      known.set(id, value);
      return value;
    },
  };
}
