import type { ModuleAgent } from '../../../src/ports/agent-runner';
import type { Json } from '../../../src/schemas/json';

export type Behaviour =
  'echo' | 'throw' | 'hang' | 'stubborn' | 'notJson' | 'halfASurrogate' | 'sized';

/** Agents as functions: the same behaviours as behaving-agent.cjs. */
export const moduleAgents: Readonly<Record<Behaviour, ModuleAgent>> = {
  echo: async ({ signal: _, ...invocation }) => ({ ...invocation }),
  throw: () => {
    throw new Error('the agent broke');
  },
  hang: ({ signal }) =>
    new Promise((_, reject) =>
      signal.addEventListener('abort', () => reject(new Error('stopped'))),
    ),
  stubborn: () => new Promise(() => undefined),
  notJson: async () => ({ callback: () => 'I called the tool.' }) as unknown as Json,
  halfASurrogate: async () => '\ud800',
  sized: async ({ input }) => 'x'.repeat((input as { chars: number }).chars),
};
