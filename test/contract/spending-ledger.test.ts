import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { openLocalLedger } from '../../src/adapters/spending-ledger/local-ledger';
import type { ProcessSpending, SpendingLedger } from '../../src/gateway/limits/ledger';
import { NO_SPENDING, spend } from '../../src/gateway/limits/spending';

let folder: string;
const ledgers: SpendingLedger[] = [];
const errors: string[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ratchet-spending-'));
  errors.length = 0;
});
afterEach(async () => {
  for (const ledger of ledgers.splice(0)) await ledger.close();
  await rm(folder, { recursive: true, force: true });
});

async function open(at = folder): Promise<SpendingLedger> {
  const options = { folder: at, everyMs: 10, onError: (error: string) => errors.push(error) };
  const ledger = await openLocalLedger(options);
  ledgers.push(ledger);
  return ledger;
}
const spent = (tokens: number): ProcessSpending => ({
  formatVersion: 1,
  agents: { desk: spend(NO_SPENDING, { requests: 1, tokens, costMicros: 0.5 }, 1_000_000) },
});
async function until(isSo: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !isSo(); i++) await sleep(10);
  expect(isSo()).toBe(true);
}
const read = (ledger: SpendingLedger): ProcessSpending[] => [...ledger.others().values()];

test('what a process has spent is read by the others, and not by itself', async () => {
  const [one, two] = [await open(), await open()];
  one.publish(() => spent(7));
  await until(() => two.others().size === 1);
  expect(read(two)).toEqual([spent(7)]);
  expect(one.others().size).toBe(0);
  one.publish(() => spent(9));
  await until(() => read(two)[0]?.agents['desk']?.total.tokens === 9);
});

test('the map stays the same while nothing changes', async () => {
  const [one, two] = [await open(), await open()];
  one.publish(() => spent(7));
  await until(() => two.others().size === 1);
  const before = two.others();
  await sleep(50);
  expect(two.others()).toBe(before);
});

test('it is there when the next process opens, and until a day is over', async () => {
  const one = await open();
  one.publish(() => spent(7));
  await one.close();
  expect(read(await open())).toEqual([spent(7)]);
  const [name = ''] = await readdir(folder);
  const old = Date.now() / 1_000 - 26 * 3_600;
  await utimes(join(folder, name), old, old);
  expect((await open()).others().size).toBe(0);
  expect(await readdir(folder)).toEqual([]);
});

test('what is no ledger counts for nothing, and nobody minds', async () => {
  await writeFile(join(folder, `${'a'.repeat(16)}.json`), '{"formatVersion":1,"agen');
  await writeFile(join(folder, 'notes.txt'), 'x');
  const one = await open();
  expect(one.others().size).toBe(0);
  expect(errors).toEqual([]);
});

test('a folder that cannot be used is said once, and the process goes on', async () => {
  const file = join(folder, 'file');
  await writeFile(file, '');
  const one = await open(join(file, 'below'));
  one.publish(() => spent(1));
  await sleep(60);
  expect(errors).toHaveLength(1);
});

test('what could not be written is written once it can be, though nothing more was spent', async () => {
  const below = join(folder, 'below');
  await writeFile(below, ''); // in the way
  const one = await open(below);
  one.publish(() => spent(7));
  await sleep(60); // several times
  await rm(below);
  const two = await open(below);
  await until(() => two.others().size === 1);
  expect(read(two)).toEqual([spent(7)]);
});
