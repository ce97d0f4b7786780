import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from '@temporalio/client';
import { connectClient } from '../../workers/temporal-connection';
import { serversDown, serversUp } from '../../workers/servers/servers';

/** A Temporal server and a folder of a benchmark's own: nothing of the user's is touched, and nothing is left. */
export interface Installation {
  readonly home: string;
  readonly address: string;
  readonly client: Client;
  /** What our processes get on top of their own environment. */
  readonly env: NodeJS.ProcessEnv;
  close(): Promise<void>;
}

export async function openInstallation(): Promise<Installation> {
  const home = await mkdtemp(join(tmpdir(), 'ratchet-bench-'));
  const { temporal } = await serversUp({ stateDir: home, headless: true });
  if (temporal.state !== 'running') throw new Error('the Temporal server did not start');
  const { address } = temporal;
  process.env['TEMPORAL_ADDRESS'] = address; // the client of this process: no profile of the user's
  process.env['TEMPORAL_NAMESPACE'] = 'default';
  const client = await connectClient(home);
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    RATCHET_HOME: home,
    RATCHET_GATEWAY_PORT: '0',
  };
  delete env['RATCHET_STORE'];
  return {
    home,
    address,
    client,
    env,
    async close() {
      await client.connection.close();
      await serversDown({ stateDir: home });
      await rm(home, { recursive: true, force: true });
    },
  };
}
