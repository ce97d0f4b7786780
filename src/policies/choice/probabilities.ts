import type { TensorRuntime } from '../../ports/tensor-runtime';
import type { CheckpointFiles, Feedback } from '../policy-kind';
import { createActingModel } from './acting-model';
import { ownTemperature } from './arms';
import { armIndex } from './training-rows';
import { decodeModel } from './checkpoint';
import { actingDistribution } from './distribution';
import { featurize } from './features';

/** How many texts are asked about at once: the batcher's memory is bounded by it. */
const AT_ONCE = 512;

/**
 * The probability that a checkpoint takes the arm that was taken, for each piece of feedback: as it is served live, at its own
 * temperature (1 where it has none) and with its exploration floor.
 *
 * @throws {InvalidInputError} if feedback names an arm that the policy does not have.
 */
export async function probabilitiesOf(
  runtime: TensorRuntime,
  files: CheckpointFiles,
  feedback: readonly Feedback[],
): Promise<number[]> {
  const { config, parameters } = decodeModel(files);
  const { indexOf, indicesOf } = armIndex(config);
  const model = await createActingModel(runtime, config, parameters);
  try {
    const probabilities: number[] = [];
    for (let at = 0; at < feedback.length; at += AT_ONCE) {
      const asked = feedback.slice(at, at + AT_ONCE).map(async ({ text, available, arm }) => {
        const logits = await model.logits(featurize(text, config.features));
        const indices = indicesOf(available);
        const p = actingDistribution(logits, indices, {
          temperature: ownTemperature(config) ?? 1,
          floor: config.explorationFloor,
        });
        return p[indices.indexOf(indexOf(arm))] ?? 0;
      });
      probabilities.push(...(await Promise.all(asked)));
    }
    return probabilities;
  } finally {
    await model.dispose();
  }
}
