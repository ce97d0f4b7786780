import { InvalidInputError } from '../errors';
import { isLoopback } from '../gateway/http/loopback';
import type { AgentSpec } from '../ports/agent-runner';

/** Where the gateways of a worker's rollout batches are. Each batch has one, on a port of its own. */
export interface GatewayAddress {
  /** Address to listen on. */
  readonly host: string;
  /** How agents reach this worker, `http://<host>` without a port; null: by the address that is listened on. */
  readonly url: string | null;
}

/** Only agents of the same machine. */
export const LOOPBACK: GatewayAddress = { host: '127.0.0.1', url: null };

const WILDCARDS: ReadonlySet<string> = new Set(['0.0.0.0', '::', '::0', '*']);

/** @throws {InvalidInputError} if agents could not be told where the gateway is. */
export function checkGatewayAddress({ host, url }: GatewayAddress): GatewayAddress {
  if (url === null) {
    if (!WILDCARDS.has(host)) return { host, url };
    throw new InvalidInputError(
      `the rollout gateway listens on every address, and agents have to be told one: set RATCHET_ROLLOUT_URL to http://<this machine’s name>`,
      { context: { RATCHET_ROLLOUT_HOST: host } },
    );
  }
  const parsed = URL.canParse(url) ? new URL(url) : null;
  const isPlain =
    parsed !== null &&
    ['http:', 'https:'].includes(parsed.protocol) &&
    [parsed.port, parsed.username, parsed.password, parsed.search, parsed.hash].every(
      (part) => part === '',
    ) &&
    parsed.pathname === '/';
  if (!isPlain) {
    throw new InvalidInputError(
      'the url of the rollout gateway: expected http://<host> and nothing more, each batch adds its own port',
      { context: { RATCHET_ROLLOUT_URL: url } },
    );
  }
  return { host, url: `${parsed.protocol}//${parsed.hostname}` };
}

/** The base URL that agents are handed. */
export function agentBaseUrl(
  { url }: GatewayAddress,
  listening: { url: string; port: number },
): string {
  return `${url === null ? listening.url : `${url}:${listening.port}`}/v1`;
}

/** Names the agents that are services elsewhere, while the gateway that they shall call can only be reached from here. */
export function unreachableFor(
  address: GatewayAddress,
  agents: Readonly<Record<string, AgentSpec>>,
): string[] {
  const own = address.url === null ? address.host : new URL(address.url).hostname;
  if (!isLoopback(own)) return [];
  return Object.entries(agents).flatMap(([name, spec]) =>
    spec.kind === 'http' && URL.canParse(spec.url) && !isLoopback(new URL(spec.url).hostname)
      ? [name]
      : [],
  );
}
