import type { Redaction } from '../src/gateway/recording/redaction';
import { createRedaction } from '../src/privacy/redaction';
import { PrivacyConfig } from '../src/schemas/privacy-config';
import type { Environment } from './env';
import { redactionKey } from './secret-keys';
import { readGatewayConfig } from './upstreams';

/** The `privacy` section of the configuration file; all kinds where there is no file. @throws {InvalidInputError} */
export async function readPrivacyConfig({
  gatewayConfig,
}: Pick<Environment, 'gatewayConfig'>): Promise<PrivacyConfig> {
  return gatewayConfig === null
    ? PrivacyConfig.parse({})
    : (await readGatewayConfig(gatewayConfig)).privacy;
}

/** @throws {InvalidInputError} if the configuration is not valid. */
export async function openRedaction(env: Environment): Promise<Redaction> {
  return createRedaction(await readPrivacyConfig(env), await redactionKey(env));
}
