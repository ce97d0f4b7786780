import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startDevServer } from '../../workers/servers/dev-server';
import { parseDevServer, stopDevServer } from '../../workers/servers/dev-server-process';
import { anyFreePort } from '../../workers/servers/ports';
import { processIdentity, processTable } from '../../workers/servers/process-table';
import { provision } from '../../workers/servers/provision';
import { renderProvisionProgress } from '../../workers/servers/provision-progress';
import { temporalSpec } from '../../workers/servers/server-spec';

export interface TestServer {
  readonly address: string;
  readonly binary: string;
  stop(): Promise<void>;
}

const FOLDER_PREFIX = 'ratchet-test-';

/** A dev server of its own: free ports, no UI, a database file in a temporary folder that goes when it stops. */
export async function startTestServer(): Promise<TestServer> {
  const binary = await testBinary();
  // The pid in the name tells later runs whether the one that made it still lives.
  const folder = await mkdtemp(join(tmpdir(), `${FOLDER_PREFIX}${process.pid}-`));
  const server = await startDevServer({
    stateDir: folder,
    binary,
    lifetime: 'with-parent',
    headless: true,
    detached: false, // Ctrl-C on the test run must end it, and globalTeardown does not run then
    port: await anyFreePort(),
    uiPort: await anyFreePort(),
  });
  const stop = async (): Promise<void> => {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  };
  return { address: server.address, binary, stop };
}

/** The `temporal` binary that this run's globalSetup provided; provides it where a test file runs by itself. */
export async function testBinary(): Promise<string> {
  return (
    process.env.TEMPORAL_TEST_BINARY ||
    (await provision(temporalSpec, { progress: renderProvisionProgress() })).path
  );
}

/** The address of the server that all test files of this run share: one worker process, one namespace, unique ids. */
export function testAddress(): string {
  const address = process.env.TEMPORAL_TEST_ADDRESS;
  if (!address)
    throw new Error('TEMPORAL_TEST_ADDRESS is not set: this jest project needs global-setup.cjs');
  return address;
}

let shared: TestServer | undefined;

/** For jest's globalSetup: what it puts into the environment reaches the test processes, which start after it. */
export async function setUpSharedServer(): Promise<void> {
  process.env.TEMPORAL_TEST_BINARY = await testBinary();
  if (process.env.TEMPORAL_TEST_ADDRESS) return; // the caller brought one
  await removeLeftovers();
  shared = await startTestServer();
  process.env.TEMPORAL_TEST_ADDRESS = shared.address;
}

export async function tearDownSharedServer(): Promise<void> {
  await shared?.stop();
  shared = undefined;
}

/** Ends the servers of test runs that were killed, and removes their folders. */
async function removeLeftovers(): Promise<void> {
  const prefix = join(tmpdir(), FOLDER_PREFIX);
  for (const entry of await processTable()) {
    const database = parseDevServer(entry)?.database;
    if (database?.startsWith(prefix) && !(await ownerLives(database.slice(prefix.length)))) {
      await stopDevServer(database, { processes: processTable });
    }
  }
  for (const name of await readdir(tmpdir())) {
    if (name.startsWith(FOLDER_PREFIX) && !(await ownerLives(name.slice(FOLDER_PREFIX.length)))) {
      await rm(join(tmpdir(), name), { recursive: true, force: true });
    }
  }
}

async function ownerLives(afterPrefix: string): Promise<boolean> {
  const pid = Number(/^\d+/.exec(afterPrefix)?.[0]);
  return !Number.isInteger(pid) || (await processIdentity(pid)) !== undefined;
}
