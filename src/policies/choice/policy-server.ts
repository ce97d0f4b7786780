import { InvalidInputError } from '../../errors';
import type { Arm } from '../../schemas/arm';
import type { ChatRequest } from '../../schemas/chat';
import type { Sampling } from '../../schemas/decision';
import type { Digest } from '../../schemas/ids';
import { readCheckpointFile } from '../../storage/checkpoints';
import type { PolicyServerDeps } from '../policy-kind';
import type { PolicyAnswer, PolicyServer } from '../policy-server';
import { createActingModel, type ActingModel } from './acting-model';
import {
  availableArmIndices,
  finishedToolResult,
  requestText,
  toolCallId,
  toolCallMessage,
} from './arms';
import { CONFIG_FILE, decodeModel, MODEL_FILE } from './checkpoint';
import { actingDistribution, draw } from './distribution';
import { featurize } from './features';

/** A checkpoint in memory. It is released when it was evicted and the last answer that uses it is out. */
interface Loaded {
  readonly model: Promise<ActingModel>;
  users: number;
  evicted: boolean;
}

/**
 * Serves choice checkpoints. Loading is single-flight; at most `maxLoaded` stay in memory, the least recently used go first.
 * A `ServedPolicy` stays good after its checkpoint was evicted: it loads it again.
 *
 * The answer to a conversation that ends in the result of a tool is that result: the arms' tools do the work, so there is
 * nothing left to decide (`sampled` is null).
 */
export function createPolicyServer({
  store,
  runtime,
  maxLoaded = 4,
}: PolicyServerDeps): PolicyServer {
  if (!Number.isInteger(maxLoaded) || maxLoaded < 1) {
    throw new InvalidInputError('maxLoaded: expected a positive integer', {
      context: { got: maxLoaded },
    });
  }
  const loaded = new Map<Digest, Loaded>(); // in the order of use: the first is the least recently used
  let closed = false;

  async function load(checkpoint: Digest): Promise<ActingModel> {
    const names = [CONFIG_FILE, MODEL_FILE];
    const files = await Promise.all(
      names.map((name) => readCheckpointFile(store, checkpoint, name)),
    );
    const { config, parameters } = decodeModel(
      new Map(names.map((name, i) => [name, files[i] as Uint8Array])),
    );
    return createActingModel(runtime, config, parameters);
  }

  async function release(entry: Loaded): Promise<void> {
    entry.evicted = true;
    if (entry.users > 0) return;
    const model = await entry.model.catch(() => null); // a failed load told its callers, and holds nothing
    await model?.dispose();
  }

  function acquire(checkpoint: Digest): Loaded {
    if (closed) throw new InvalidInputError('the policy server is closed');
    let entry = loaded.get(checkpoint);
    if (entry === undefined) {
      const fresh: Loaded = { model: load(checkpoint), users: 0, evicted: false };
      // What failed is tried again by the next call; the callers of this one see the error.
      fresh.model.catch(() => loaded.get(checkpoint) === fresh && loaded.delete(checkpoint));
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
    use: (model: ActingModel) => Promise<T>,
  ): Promise<T> {
    const entry = acquire(checkpoint);
    try {
      return await use(await entry.model);
    } finally {
      entry.users--;
      if (entry.evicted) await release(entry);
    }
  }

  return {
    async serve(checkpoint) {
      await withModel(checkpoint, async () => undefined);
      return {
        checkpoint,
        answer: (request, sampling, uniform) =>
          withModel(checkpoint, (model) => answer(model, checkpoint, request, sampling, uniform)),
      };
    },
    async close() {
      closed = true;
      const entries = [...loaded.values()];
      loaded.clear();
      await Promise.all(entries.map(release));
    },
  };
}

async function answer(
  model: ActingModel,
  checkpoint: Digest,
  { messages, tools, tool_choice: toolChoice }: ChatRequest,
  { temperature }: Sampling,
  uniform: number,
): Promise<PolicyAnswer> {
  const result = finishedToolResult(messages);
  if (result !== null) {
    return {
      message: { role: 'assistant', content: result },
      finishReason: 'stop',
      sampled: null,
      usage: { promptTokens: 0, completionTokens: 0 },
    };
  }
  const { config } = model;
  const available = availableArmIndices(config, tools, toolChoice);
  if (available.length === 0) {
    throw new InvalidInputError(
      `no arm of this policy can take the request: expected at least one of the tools ${someTools(config.arms)}, got ${
        (tools ?? []).length
      } others`,
    );
  }
  const text = requestText(messages);
  const features = featurize(text, config.features);
  const logits = await model.logits(features);
  const p = actingDistribution(logits, available, { temperature, floor: config.explorationFloor });
  const drawn = draw(p, available, temperature === 0 ? 0 : uniform);
  const arm = config.arms[drawn.arm] as Arm;
  const callId = toolCallId([checkpoint, messages.length, text, temperature, uniform]);
  return {
    message: toolCallMessage(arm, text, callId),
    finishReason: 'tool_calls',
    sampled: {
      kind: 'arm',
      arm: arm.name,
      propensity: drawn.propensity,
      available: available.length,
    },
    // This policy has no tokens: it counts the words that it read, and the one call that it made.
    usage: { promptTokens: features.words, completionTokens: 1 },
  };
}

function someTools(arms: readonly Arm[]): string {
  const tools = [...new Set(arms.map(({ tool }) => tool))];
  return tools.length <= 5
    ? tools.join(', ')
    : `${tools.slice(0, 5).join(', ')} and ${tools.length - 5} more`;
}
