import type { AgentSpec } from '../../../src/ports/agent-runner';
import {
  agentBaseUrl,
  checkGatewayAddress,
  LOOPBACK,
  unreachableFor,
} from '../../../src/rollouts/gateway-address';

const listening = { url: 'http://127.0.0.1:4711', port: 4711 };

describe('the address of a rollout batch’s gateway', () => {
  it('is the one it listens on, unless agents reach the worker by another', () => {
    expect(agentBaseUrl(LOOPBACK, listening)).toBe('http://127.0.0.1:4711/v1');
    const elsewhere = checkGatewayAddress({ host: '0.0.0.0', url: 'http://rollout-1/' });
    expect(agentBaseUrl(elsewhere, listening)).toBe('http://rollout-1:4711/v1');
    const v6 = checkGatewayAddress({ host: '::', url: 'http://[fd00::7]' });
    expect(agentBaseUrl(v6, listening)).toBe('http://[fd00::7]:4711/v1');
  });

  it.each<[boolean, string, string, string | null]>([
    [false, 'http://agents.internal/desk', '127.0.0.1', null],
    [false, 'http://10.0.0.9', 'localhost', null],
    [false, 'http://[fd00::9]', '::1', null],
    [false, 'http://agents.internal/', '0.0.0.0', 'http://127.0.0.1'],
    [true, 'http://agents.internal/desk', '10.0.0.7', null],
    [true, 'http://agents.internal/desk', '0.0.0.0', 'http://rollout-1'],
    [true, 'http://localhost:8000', '127.0.0.1', null],
    [true, 'http://127.8.0.1:8000', '127.0.0.1', null],
    [true, 'http://[::1]:8000', '::1', null],
  ])(
    'can be reached (%s) by an agent at %s, where it is %s, told as %s',
    (can, url, host, told) => {
      const agents: Record<string, AgentSpec> = {
        desk: { kind: 'http', url },
        own: { kind: 'process', command: ['true'] },
      };
      expect(unreachableFor({ host, url: told }, agents)).toEqual(can ? [] : ['desk']);
    },
  );
});
