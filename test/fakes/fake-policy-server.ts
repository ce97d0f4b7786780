import { NotFoundError } from '../../src/errors';
import type { PolicyServer, ServedPolicy } from '../../src/policies/policy-server';
import type { ChatRequest } from '../../src/schemas/chat';
import type { Sampling } from '../../src/schemas/decision';
import type { Digest } from '../../src/schemas/ids';

export interface FakeCall {
  readonly checkpoint: Digest;
  readonly request: ChatRequest;
  readonly sampling: Sampling;
  readonly uniform: number;
}

export interface FakePolicyServer extends PolicyServer {
  /** What was asked, oldest first. */
  readonly calls: FakeCall[];
  /** The next calls of `answer` fail with this until it is null again. */
  failWith: Error | null;
}

/**
 * Answers at once with a call of one of the request's tools, each as likely as the others; after a tool's result it says `done` and
 * decides nothing.
 *
 * @param known the checkpoints that there are; every digest if left out.
 */
export function createFakePolicyServer(
  known?: readonly Digest[],
  { keepCalls = true }: { readonly keepCalls?: boolean } = {},
): FakePolicyServer {
  const calls: FakeCall[] = [];
  const serve = (checkpoint: Digest): ServedPolicy => ({
    checkpoint,
    async answer(request, sampling, uniform) {
      if (server.failWith !== null) throw server.failWith;
      if (keepCalls) calls.push({ checkpoint, request, sampling, uniform });
      const usage = { promptTokens: request.messages.length, completionTokens: 1 };
      if (request.messages.at(-1)?.role === 'tool') {
        const message = { role: 'assistant' as const, content: 'done' };
        return { message, finishReason: 'stop', sampled: null, usage };
      }
      const names = (request.tools ?? []).map((tool) => tool.function?.name ?? '');
      const arm = names[sampling.temperature === 0 ? 0 : Math.floor(uniform * names.length)];
      if (arm === undefined) throw new NotFoundError('the fake was asked without tools');
      const call = {
        id: `call_${arm}`,
        type: 'function' as const,
        function: { name: arm, arguments: '{}' },
      };
      return {
        message: { role: 'assistant', content: null, tool_calls: [call] },
        finishReason: 'tool_calls',
        sampled: { kind: 'arm', arm, propensity: 1 / names.length, available: names.length },
        usage,
      };
    },
  });
  const server: FakePolicyServer = {
    calls,
    failWith: null,
    async serve(checkpoint) {
      if (known !== undefined && !known.includes(checkpoint)) {
        throw new NotFoundError('no such checkpoint', { context: { checkpoint } });
      }
      return serve(checkpoint);
    },
    async close() {},
  };
  return server;
}
