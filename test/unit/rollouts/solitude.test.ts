import { getEventListeners } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { createSolitude, type Solitude } from '../../../src/rollouts/solitude';

const never = new AbortController().signal;

/** Work that notes when it begins and ends, and ends when told. */
function worker(solitude: Solitude): {
  readonly events: string[];
  readonly begin: (kind: 'together' | 'alone', name: string, signal?: AbortSignal) => Promise<void>;
  readonly end: (name: string) => void;
} {
  const events: string[] = [];
  const ends = new Map<string, () => void>();
  return {
    events,
    begin: (kind, name, signal = never) =>
      solitude[kind](signal, async () => {
        events.push(`${name} begins`);
        await new Promise<void>((end) => ends.set(name, end));
        events.push(`${name} ends`);
      }),
    end: (name) => ends.get(name)?.(),
  };
}

describe('solitude', () => {
  it('lets work run side by side while nobody asks to be alone', async () => {
    const { events, begin, end } = worker(createSolitude());
    const all = ['a', 'b', 'c'].map((name) => begin('together', name));
    await delay(1);
    expect(events).toEqual(['a begins', 'b begins', 'c begins']);
    for (const name of ['a', 'b', 'c']) end(name);
    await Promise.all(all);
  });

  it('waits until nothing runs, and lets nothing begin until it is over', async () => {
    const { events, begin, end } = worker(createSolitude());
    const all = [
      begin('together', 'a'),
      begin('alone', 'x'),
      begin('together', 'b'), // though it would fit beside a: else x might wait for ever
      begin('together', 'c'),
      begin('alone', 'y'),
    ];
    for (const name of ['a', 'x', 'c', 'b', 'y']) {
      await delay(1);
      end(name);
    }
    await Promise.all(all);
    expect(events).toEqual([
      ...['a begins', 'a ends', 'x begins', 'x ends'],
      ...['b begins', 'c begins', 'c ends', 'b ends', 'y begins', 'y ends'],
    ]);
  });

  it('is given up when the wait is aborted, and whoever stood behind goes on', async () => {
    const { events, begin, end } = worker(createSolitude());
    const controller = new AbortController();
    const a = begin('together', 'a');
    const x = begin('alone', 'x', controller.signal);
    const b = begin('together', 'b');
    controller.abort(new Error('stop'));
    await expect(x).rejects.toThrow('stop');
    await delay(1);
    expect(events).toEqual(['a begins', 'b begins']);
    expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
    end('a');
    end('b');
    await Promise.all([a, b]);
  });

  it('ends with work that fails', async () => {
    const solitude = createSolitude();
    const failing = solitude.alone(never, () => Promise.reject(new Error('it broke')));
    await expect(failing).rejects.toThrow('it broke');
    await expect(solitude.together(never, async () => 1)).resolves.toBe(1);
  });
});
