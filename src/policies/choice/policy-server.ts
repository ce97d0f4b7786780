import { InvalidInputError } from '../../errors';
import type { Arm } from '../../schemas/arm';
import type { ChatRequest } from '../../schemas/chat';
import type { ChoiceConfig } from '../../schemas/choice-config';
import type { SampledArm, Sampling } from '../../schemas/decision';
import type { Digest } from '../../schemas/ids';
import { readCheckpointFile } from '../../storage/checkpoints';
import { createLoadedCheckpoints } from '../loaded-checkpoints';
import type { PolicyServerDeps } from '../policy-kind';
import type { PolicyAnswer, PolicyChoice, PolicyServer } from '../policy-server';
import { createActingModel, type ActingModel } from './acting-model';
import {
  availableArmIndices,
  finishedToolResult,
  hasRequestArms,
  ownTemperature,
  policyText,
  requestArmIndices,
  requestText,
  toolCallId,
  toolCallMessage,
  type Forwards,
} from './arms';
import { CONFIG_FILE, decodeModel, MODEL_FILE } from './checkpoint';
import { actingDistribution, draw } from './distribution';
import { featurize } from './features';

/**
 * Serves choice checkpoints. Loading is single-flight; at most `maxLoaded` stay in memory, the least recently used go first.
 * A `ServedPolicy` stays good after its checkpoint was evicted: it loads it again.
 *
 * Where no arm can have somebody else answer, the answer to a conversation that ends in the result of a tool is that result: the arms'
 * tools do the work, so there is nothing left to decide (`sampled` is null).
 */
export function createPolicyServer({
  store,
  runtime,
  maxLoaded = 4,
}: PolicyServerDeps): PolicyServer<SampledArm> {
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

  const loaded = createLoadedCheckpoints<ActingModel>({
    ...{ maxLoaded, load },
    release: (model) => model.dispose(),
  });

  return {
    async serve(checkpoint) {
      const temperature = await loaded.with(checkpoint, async ({ config }) =>
        ownTemperature(config),
      );
      return {
        checkpoint,
        ...(temperature === null ? {} : { temperature }),
        answer: (request, sampling, uniform, forwards = () => false) =>
          loaded.with(checkpoint, (model) =>
            answer({ model, checkpoint, request, sampling, uniform, forwards }),
          ),
      };
    },
    close: () => loaded.close(),
  };
}

interface Asked {
  readonly model: ActingModel;
  readonly checkpoint: Digest;
  readonly request: ChatRequest;
  readonly sampling: Sampling;
  readonly uniform: number;
  readonly forwards: Forwards;
}

async function answer(asked: Asked): Promise<PolicyChoice<SampledArm>> {
  const { model, checkpoint, request, sampling, uniform } = asked;
  const { config } = model;
  const { messages, tools } = request;
  const result = finishedToolResult(messages);
  const available = availableTo(config, request, asked.forwards, result !== null);
  if (result !== null && available.length === 0) return handBack(result);
  if (available.length === 0) throw noArm(config, request);

  const { temperature } = sampling;
  const text = policyText(config, messages, tools);
  const features = featurize(text, config.features);
  const logits = await model.logits(features);
  const p = actingDistribution(logits, available, { temperature, floor: config.explorationFloor });
  const drawn = draw(p, available, temperature === 0 ? 0 : uniform);
  const arm = config.arms[drawn.arm] as Arm;
  const sampled = {
    ...{ kind: 'arm' as const, arm: arm.name, propensity: drawn.propensity },
    available: available.length,
    ...(hasRequestArms(config) ? { arms: namesAt(config, available) } : {}),
  };
  if (arm.kind === 'request') return { patch: arm.patch, sampled };
  const input = requestText(messages);
  const callId = toolCallId([checkpoint, messages.length, text, temperature, uniform]);
  return {
    message: toolCallMessage(arm, input, callId),
    finishReason: 'tool_calls',
    sampled,
    // This policy has no tokens: it counts the words that it read, and the one call that it made.
    usage: { promptTokens: features.words, completionTokens: 1 },
  };
}

/** Once a tool that was called has said what it did, only an upstream has something to add. */
function availableTo(
  config: ChoiceConfig,
  request: ChatRequest,
  forwards: Forwards,
  isDone: boolean,
): Int32Array {
  const { tools, tool_choice: toolChoice } = request;
  const own = isDone ? NO_ARMS : availableArmIndices(config, tools, toolChoice);
  if (!hasRequestArms(config)) return own;
  return Int32Array.from([...own, ...requestArmIndices(config, request, forwards)]).sort();
}

const NO_ARMS = new Int32Array();

function namesAt({ arms }: ChoiceConfig, indices: Int32Array): string[] {
  return Array.from(indices, (index) => (arms[index] as Arm).name);
}

function handBack(result: string): PolicyAnswer<SampledArm> {
  return {
    message: { role: 'assistant', content: result },
    finishReason: 'stop',
    sampled: null,
    usage: { promptTokens: 0, completionTokens: 0 },
  };
}

function noArm({ arms }: ChoiceConfig, { tools }: ChatRequest): InvalidInputError {
  const needed = [...new Set(arms.flatMap((arm) => (arm.kind === 'tool' ? [arm.tool] : [])))];
  const models = arms.flatMap((arm) => (arm.kind === 'request' ? [arm.patch.model] : []));
  const expected = [
    ...(needed.length === 0 ? [] : [`at least one of the tools ${someOf(needed)}`]),
    ...(models.length === 0 ? [] : [`an upstream for ${someOf([...new Set(models)])}`]),
  ];
  return new InvalidInputError(
    `no arm of this policy can take the request: expected ${expected.join(', or ')}, got ${
      (tools ?? []).length
    } other tools`,
  );
}

function someOf(names: readonly string[]): string {
  return names.length <= 5
    ? names.join(', ')
    : `${names.slice(0, 5).join(', ')} and ${names.length - 5} more`;
}
