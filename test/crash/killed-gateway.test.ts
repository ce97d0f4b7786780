import { readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import OpenAI from 'openai';
import { createLocalKeyFile } from '../../src/adapters/local-key-file/local-key-file';
import { createLocalObjectStore } from '../../src/adapters/local-store';
import { createApiKey } from '../../src/gateway/keys/api-keys';
import { mergeSessions } from '../../src/gateway/recording/live-segments';
import { stream } from '../../src/rl/counter-rng';
import { LiveLine } from '../../src/schemas/live-line';
import { readJsonLines } from '../../src/storage/json-objects';
import { livePrefix } from '../../src/storage/keys';
import { startGatewayProcess } from '../helpers/gateway-process';
import { createChampion, championTools } from '../helpers/live-policy';
import { temporaryHome } from '../helpers/worker-process';

// A real gateway process under the load of real clients, killed again and again. What is compared is what the clients finished reading
// with what is in the store.

const KILLS = 6;
const CLIENTS = 12;

interface Answered {
  readonly id: string;
  readonly session: string;
  readonly question: string;
}

/** Asks without a pause until it is told to stop; what it read to the end is in `answered`. */
async function customer(
  number: number,
  client: OpenAI,
  log: { readonly answered: Answered[]; failed: number },
  stop: AbortSignal,
): Promise<void> {
  for (let i = 0; !stop.aborted; i++) {
    const question = `customer ${number} wants refund number ${i}`;
    const session = `${number}-${Math.floor(i / 20)}`;
    try {
      const { id } = await client.chat.completions.create(
        {
          model: 'ratchet/live',
          messages: [{ role: 'user', content: question }],
          tools: championTools,
        },
        { headers: { 'x-ratchet-session': session } },
      );
      log.answered.push({ id, session, question });
    } catch {
      log.failed++; // killed in the middle, or not up again yet
      await sleep(20);
    }
  }
}

test('a gateway killed in the middle of calls, with the store down for a while, loses no answer that was read and counts none twice', async () => {
  const temporary = await temporaryHome();
  const { home } = temporary;
  const random = stream({ seed: 4, purpose: 'test.kills' });
  const stop = new AbortController();
  const storeRoot = join(home, 'store');
  try {
    const store = createLocalObjectStore({ root: storeRoot });
    await createChampion(store, 'live');
    const { key } = await createApiKey(createLocalKeyFile(join(home, 'keys', 'api-keys.json')), {
      role: 'agent',
      agent: 'desk',
    });
    let gateway = await startGatewayProcess(home, 0);
    const port = Number(new URL(gateway.url).port);
    const client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: key, maxRetries: 0 });

    const log = { answered: [] as Answered[], failed: 0 };
    const customers = Array.from({ length: CLIENTS }, (_, i) =>
      customer(i, client, log, stop.signal),
    );
    const readBetween: number[] = [];
    const drainFailures: number[] = [];
    for (let kill = 0; kill < KILLS; kill++) {
      // For the middle third nothing can be written to the store: bodies on their way in have no folder.
      if (kill === 2) {
        await rename(join(storeRoot, 'tmp'), join(storeRoot, 'tmp.away'));
        await putFile(join(storeRoot, 'tmp'));
      }
      if (kill === 4) {
        await rm(join(storeRoot, 'tmp'));
        await rename(join(storeRoot, 'tmp.away'), join(storeRoot, 'tmp'));
      }
      const before = log.answered.length;
      await sleep(400 + 1_200 * random.next());
      if (kill === 2 || kill === 3)
        drainFailures.push(await gateway.metric('drain_failures_total'));
      await gateway.end('SIGKILL');
      readBetween.push(log.answered.length - before);
      gateway = await startGatewayProcess(home, port);
    }
    await sleep(500);
    stop.abort();
    await Promise.all(customers);
    await gateway.end('SIGTERM');

    // Calls were answered before each kill, also while the store was down; and it was down.
    expect(Math.min(...readBetween)).toBeGreaterThan(0);
    expect(drainFailures.at(-1)).toBeGreaterThan(0);
    // All is drained, and no spool folder is left.
    expect(await readdir(join(home, 'spool'))).toEqual([]);

    const lines: LiveLine[] = [];
    for await (const { key: segment } of store.list(livePrefix('desk'))) {
      lines.push(...(await readJsonLines(store, segment, LiveLine)));
    }
    // Before any merging: each decision was written once, in all segments together.
    const written = lines.flatMap((line) =>
      line.type === 'trajectory' ? line.trajectory.decisions.map(({ id }) => id) : [],
    );
    expect(written.length).toBe(new Set(written).size);
    const { trajectories, messages, unresolved } = mergeSessions(lines);
    const stored = new Map(
      trajectories.flatMap(({ id: session, decisions }) =>
        decisions.map((decision) => {
          const question = messages.get(decision.context[0] ?? '')?.content;
          return [decision.id, { id: decision.id, session, question }] as const;
        }),
      ),
    );
    expect(log.answered.map(({ id }) => stored.get(id))).toEqual(
      log.answered.map((answer) => ({ ...answer, session: `live/desk/${answer.session}` })),
    );
    // What else there is are calls whose answers were cut off, each at most once: decided, or open when the process died.
    const cutOff = stored.size - log.answered.length + unresolved.length;
    expect(cutOff).toBeLessThanOrEqual(KILLS * CLIENTS);
    expect(cutOff).toBeLessThanOrEqual(log.failed);
    expect(unresolved.length).toBeGreaterThan(0);
  } finally {
    stop.abort();
    await temporary.remove();
  }
}, 120_000);

/** A file where a folder was; what a gateway made anew there in between goes. */
async function putFile(path: string): Promise<void> {
  for (;;) {
    try {
      return await writeFile(path, 'not a folder');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EISDIR') throw error;
      await rm(path, { recursive: true, force: true });
    }
  }
}
