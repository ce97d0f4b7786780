import { Client, Connection } from '@temporalio/client';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import { NativeConnection } from '@temporalio/worker';
import { describeError, TransientError } from '../src/errors';
import { serversStatus } from './servers/servers';

export interface Temporal {
  readonly connection: NativeConnection;
  readonly namespace: string;
}

const DEFAULT_ADDRESS = '127.0.0.1:7233';

/**
 * Address, namespace, TLS and key as the `temporal` CLI reads them: environment first, then the TOML profile. Where they
 * name no address, our own dev server is meant if one runs on `home`.
 */
async function settings(
  home: string,
): Promise<ReturnType<typeof loadClientConnectConfig> & { address: string }> {
  const config = loadClientConnectConfig();
  const named = config.connectionOptions.address;
  if (named !== undefined) return { ...config, address: named };
  const { temporal } = await serversStatus({ stateDir: home });
  return { ...config, address: temporal.state === 'running' ? temporal.address : DEFAULT_ADDRESS };
}

function unreachable(address: string, error: unknown): TransientError {
  return new TransientError(
    `the Temporal server does not answer at ${address}: ${describeError(error)}. Start one with \`npm run ratchet -- servers up\`, ` +
      'or point TEMPORAL_ADDRESS (or a profile of the temporal CLI) at yours',
    { cause: error },
  );
}

/** For workers. @throws {TransientError} naming the address and how to start a server. */
export async function connectWorker(home: string): Promise<Temporal> {
  const { connectionOptions, namespace, address } = await settings(home);
  try {
    const connection = await NativeConnection.connect({ ...connectionOptions, address });
    return { connection, namespace: namespace ?? 'default' };
  } catch (error) {
    throw unreachable(address, error);
  }
}

/** For what starts and watches workflows. @throws {TransientError} naming the address and how to start a server. */
export async function connectClient(home: string): Promise<Client> {
  const { connectionOptions, namespace, address } = await settings(home);
  try {
    const connection = await Connection.connect({
      ...connectionOptions,
      address,
      connectTimeout: '5s',
    });
    return new Client({ connection, namespace: namespace ?? 'default' });
  } catch (error) {
    throw unreachable(address, error);
  }
}
