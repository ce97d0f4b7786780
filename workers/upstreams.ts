import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { createHttpUpstreams } from '../src/adapters/upstream-http/http-upstreams';
import { InvalidInputError } from '../src/errors';
import { createUpstreams, NO_UPSTREAMS, type Upstreams } from '../src/gateway/upstreams/upstreams';
import { GatewayConfig, type SecretReference } from '../src/schemas/gateway-config';
import type { Environment } from './env';

/**
 * The upstreams of the configuration file, with their keys; none where there is no file.
 *
 * @param processEnv where `{"env": …}` references are looked up.
 * @throws {InvalidInputError} naming the file and the field, never a key.
 */
export async function openUpstreams(
  { gatewayConfig }: Pick<Environment, 'gatewayConfig'>,
  processEnv: NodeJS.ProcessEnv = process.env,
): Promise<Upstreams> {
  if (gatewayConfig === null) return NO_UPSTREAMS;
  const config = await readGatewayConfig(gatewayConfig);
  const keys = new Map<string, string>();
  for (const [name, { key }] of Object.entries(config.upstreams)) {
    if (key !== undefined) keys.set(name, await readSecret(key, name, processEnv));
  }
  return createUpstreams(config, keys, createHttpUpstreams());
}

export async function readGatewayConfig(path: string): Promise<GatewayConfig> {
  let json: unknown;
  try {
    json = JSON.parse(await readFile(path, 'utf8'));
  } catch (cause) {
    throw new InvalidInputError(
      'the gateway’s configuration cannot be read: expected a JSON file; RATCHET_GATEWAY_CONFIG names it',
      { context: { path }, cause },
    );
  }
  const config = GatewayConfig.safeParse(json);
  if (config.success) return config.data;
  throw new InvalidInputError(
    `the gateway’s configuration is not valid: ${z.prettifyError(config.error)}`,
    { context: { path } },
  );
}

async function readSecret(
  reference: SecretReference,
  upstream: string,
  processEnv: NodeJS.ProcessEnv,
): Promise<string> {
  if ('env' in reference) {
    const value = processEnv[reference.env];
    if (value !== undefined && value.trim() !== '') return value.trim();
    throw new InvalidInputError(
      `the key of an upstream is not there: expected it in the environment variable ${reference.env}`,
      { context: { upstream } },
    );
  }
  let text: string;
  try {
    text = await readFile(reference.file, 'utf8');
  } catch (cause) {
    throw new InvalidInputError('the key of an upstream cannot be read', {
      context: { upstream, file: reference.file },
      cause,
    });
  }
  if (text.trim() !== '') return text.trim();
  throw new InvalidInputError('the key of an upstream is empty', {
    context: { upstream, file: reference.file },
  });
}
