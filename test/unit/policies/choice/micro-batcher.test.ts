import { createMicroBatcher } from '../../../../src/policies/choice/micro-batcher';

describe('the micro-batcher', () => {
  const setup = (size: number) => {
    const batches: number[][] = [];
    const batcher = createMicroBatcher<number, number>(size, async (items) => {
      batches.push([...items]);
      if (items.includes(13)) throw new Error('unlucky');
      return items.map((item) => item * 10);
    });
    return { batches, batcher };
  };

  it('puts calls of one turn into one batch and gives each its own result', async () => {
    const { batches, batcher } = setup(32);
    await expect(Promise.all([1, 2, 3].map((i) => batcher.submit(i)))).resolves.toEqual([
      10, 20, 30,
    ]);
    expect(batches).toEqual([[1, 2, 3]]);
  });

  it('sends full batches at once and the rest on the next turn', async () => {
    const { batches, batcher } = setup(2);
    const results = Promise.all([1, 2, 3].map((i) => batcher.submit(i)));
    expect(batches).toEqual([[1, 2]]);
    await expect(results).resolves.toEqual([10, 20, 30]);
    expect(batches).toEqual([[1, 2], [3]]);
  });

  it('gathers what comes while a batch is out, and sends it when that is back, failed or not', async () => {
    const batches: number[][] = [];
    const back: (() => void)[] = [];
    const batcher = createMicroBatcher<number, number>(3, async (items) => {
      batches.push([...items]);
      await new Promise<void>((resolve) => back.push(resolve));
      if (items.includes(13)) throw new Error('unlucky');
      return items;
    });
    const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
    const first = batcher.submit(13);
    await turn();
    const later: Promise<number>[] = [];
    for (const i of [1, 2]) {
      later.push(batcher.submit(i));
      await turn();
    }
    expect(batches).toEqual([[13]]);
    back.shift()?.();
    await expect(first).rejects.toThrow('unlucky');
    expect(batches).toEqual([[13], [1, 2]]);
    later.push(...[3, 4, 5].map((i) => batcher.submit(i)));
    expect(batches.at(-1)).toEqual([3, 4, 5]); // full: it goes out at once
    back.forEach((resolve) => resolve());
    await expect(Promise.all(later)).resolves.toEqual([1, 2, 3, 4, 5]);
  });

  it('fails the calls of a failed batch and no others', async () => {
    const { batcher } = setup(2);
    const results = await Promise.allSettled([1, 13, 3].map((i) => batcher.submit(i)));
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'fulfilled']);
  });
});
