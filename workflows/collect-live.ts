import { durationMs } from '../src/schemas/duration';
import type { RunState } from '../src/loop/run-state';
import type { LiveSource } from '../src/schemas/run-config';
import type { CollectLiveResult } from '../src/schemas/stages';
import type { ActivityProxies } from './activity-proxies';
import type { Attention } from './attention';

/** How long one look takes at most: `stop` and `pause` wait for it, and each is a few events of the history. */
const PATIENCE = '1m';

/** Live decisions with feedback since the last iteration; or that there are not enough yet. */
export function collectLive(
  { rollout }: ActivityProxies,
  { attend }: Attention,
  state: RunState,
  live: LiveSource,
  label: string,
): Promise<CollectLiveResult> {
  const { config, run, iterations: iteration } = state;
  const start = new Date(Date.parse(state.startedAt) - durationMs(live.window)).toISOString();
  return attend(`live feedback for ${label}`, () =>
    rollout.collectLive.executeWithOptions(
      { summary: `${label}: at least ${live.decisions} live decisions of ${live.agent}` },
      [
        {
          ...{ run, iteration, policy: config.policy, live, patience: PATIENCE },
          ...{ dataset: state.dataset, datasetName: config.dataset, checkpoint: state.checkpoint },
          weights: config.reward.weights,
          from: state.liveTo ?? start,
        },
      ],
    ),
  );
}
