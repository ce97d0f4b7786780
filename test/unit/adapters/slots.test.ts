import { Slots } from '../../../src/adapters/s3-store/slots';

test('lets so many in at once, the others in their order, and survives failures', async () => {
  const slots = new Slots(2);
  let [inside, most] = [0, 0];
  const done: number[] = [];
  const work = (i: number) => async (): Promise<void> => {
    most = Math.max(most, ++inside);
    await new Promise((resolve) => setTimeout(resolve, 2));
    inside -= 1;
    done.push(i);
    if (i % 3 === 0) throw new Error('failed');
  };
  const results = await Promise.allSettled(Array.from({ length: 9 }, (_, i) => slots.use(work(i))));
  expect(most).toBe(2);
  expect(done).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  expect(results.filter(({ status }) => status === 'rejected')).toHaveLength(3);
});
