import type { UpstreamDouble } from '../../../bench/support/upstream-double/start';
import { GatewayConfig } from '../../../src/schemas/gateway-config';
import { readSnippets, type Snippet } from '../doc-snippets';
import { startClientGateway, type ClientGateway } from './client-gateway';

export const agentsPage = (): Snippet[] => readSnippets('docs/agents.md');

/** The gateway with the page's own configuration, except that all of its upstreams are the double. */
export async function startPageGateway(): Promise<ClientGateway> {
  const json = agentsPage().find(({ language }) => language === 'json')?.code ?? '';
  const { upstreams } = GatewayConfig.parse(JSON.parse(json));
  const keyNames = Object.values(upstreams).map(({ key }) => (key && 'env' in key ? key.env : ''));
  const configOf = ({ url }: UpstreamDouble): object =>
    JSON.parse(json.replace(/"https:[^"]*"/g, JSON.stringify(url))) as object;
  return startClientGateway(configOf, keyNames);
}
