import { InvalidInputError } from '../../../errors';
import type { ChatHost, HostedChatModel } from '../../../ports/chat-host';
import type { ChatRequest } from '../../../schemas/chat';
import type { Digest } from '../../../schemas/ids';
import type { ObjectStore } from '../../../storage/object-store';
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

/** A checkpoint in memory. It is released when it was evicted and the last answer that uses it is out. */
interface Loaded {
  readonly model: Promise<HostedChatModel>;
  users: number;
  isEvicted: boolean;
}

/**
 * Serves language checkpoints. Loading is single-flight; the least recently used go first. A `ServedPolicy` stays good after its
 * checkpoint was evicted: it is loaded again.
 */
export function createLanguagePolicyServer({
  store,
  host,
  serving = {},
  maxLoaded = 2,
}: LanguagePolicyServerDeps): PolicyServer {
  if (!Number.isInteger(maxLoaded) || maxLoaded < 1) {
    throw new InvalidInputError('maxLoaded: expected a positive integer', {
      context: { got: maxLoaded },
    });
  }
  const loaded = new Map<Digest, Loaded>(); // in the order of use: the first is the least recently used
  let isClosed = false;

  async function release(entry: Loaded): Promise<void> {
    entry.isEvicted = true;
    if (entry.users > 0) return;
    const model = await entry.model.catch(() => null); // a failed load told its callers, and holds nothing
    await model?.release();
  }

  function acquire(checkpoint: Digest): Loaded {
    if (isClosed) throw new InvalidInputError('the policy server is closed');
    let entry = loaded.get(checkpoint);
    if (entry === undefined) {
      const model = checkpointModelFolder(store, checkpoint).then((folder) =>
        host.load(folder, serving),
      );
      const fresh: Loaded = { model, users: 0, isEvicted: false };
      // What failed is tried again by the next call; the callers of this one see the error.
      model.catch(() => loaded.get(checkpoint) === fresh && loaded.delete(checkpoint));
      entry = fresh;
    }
    entry.users++;
    loaded.delete(checkpoint);
    loaded.set(checkpoint, entry);
    for (const [digest, oldest] of loaded) {
      if (loaded.size <= maxLoaded) break;
      loaded.delete(digest);
      void release(oldest);
    }
    return entry;
  }

  async function withModel<T>(
    checkpoint: Digest,
    use: (model: HostedChatModel) => Promise<T>,
  ): Promise<T> {
    const entry = acquire(checkpoint);
    try {
      return await use(await entry.model);
    } finally {
      entry.users--;
      if (entry.isEvicted) await release(entry);
    }
  }

  return {
    async serve(checkpoint) {
      await withModel(checkpoint, async () => undefined); // warmed up before anybody waits for an answer
      return {
        checkpoint,
        answer: (request, { temperature }, uniform) =>
          withModel(checkpoint, (model) => answer(model, request, temperature, uniform)),
      };
    },
    async close() {
      isClosed = true;
      const entries = [...loaded.values()];
      loaded.clear();
      await Promise.all(entries.map(release));
    },
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
