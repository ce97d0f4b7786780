import type { ChatHost, HostedChatModel } from '../../../ports/chat-host';
import type { ChatRequest } from '../../../schemas/chat';
import type { ObjectStore } from '../../../storage/object-store';
import { createLoadedCheckpoints } from '../../loaded-checkpoints';
import type { PolicyAnswer, PolicyServer } from '../../policy-server';
import { checkpointModelFolder } from '../checkpoint';
import type { ServingOptions } from './open-chat-model';
import { chatCallOf } from './request-sampling';

export interface LanguagePolicyServerDeps {
  readonly store: ObjectStore;
  readonly host: ChatHost;
  readonly serving?: ServingOptions;
  /** Checkpoints kept loaded at once: each has its weights in memory. @default 2 */
  readonly maxLoaded?: number;
}

/**
 * Serves language checkpoints. A `ServedPolicy` stays good after its checkpoint was evicted: it is loaded again.
 */
export function createLanguagePolicyServer({
  store,
  host,
  serving = {},
  maxLoaded = 2,
}: LanguagePolicyServerDeps): PolicyServer {
  const loaded = createLoadedCheckpoints<HostedChatModel>({
    maxLoaded,
    load: async (checkpoint) => host.load(await checkpointModelFolder(store, checkpoint), serving),
    release: (model) => model.release(),
  });
  return {
    async serve(checkpoint) {
      await loaded.with(checkpoint, async () => undefined); // warmed up before anybody waits for an answer
      return {
        checkpoint,
        answer: (request, { temperature }, uniform) =>
          loaded.with(checkpoint, (model) => answer(model, request, temperature, uniform)),
      };
    },
    close: () => loaded.close(),
  };
}

async function answer(
  model: HostedChatModel,
  request: ChatRequest,
  temperature: number,
  uniform: number,
): Promise<PolicyAnswer> {
  // A draw is a multiple of 2⁻⁵³: as a whole number it is a seed, and says all that it said.
  const seed = Math.floor(uniform * 2 ** 53);
  const { message, finish, prompt, tokens, logProbs, cachedTokens } = await model.chat(
    chatCallOf(request, temperature, seed),
  );
  return {
    message,
    finishReason: finish,
    sampled: {
      kind: 'text',
      finishReason: finish,
      tokens: { prompt: [...prompt], completion: [...tokens], logprobs: [...logProbs] },
    },
    usage: {
      promptTokens: prompt.length,
      completionTokens: tokens.length,
      ...(cachedTokens > 0 && { cacheReadTokens: cachedTokens }),
    },
  };
}
