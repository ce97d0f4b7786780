import { setCurrentDetails, setHandler, workflowInfo } from '@temporalio/workflow';
import { sumCounts } from '../src/loop/drops';
import { renderEvaluation } from '../src/loop/render';
import { COMPARE_HEARTBEAT_TIMEOUT_MS } from '../src/loop/retries';
import { runKey } from '../src/loop/run-key';
import { shortDigest, type Digest } from '../src/schemas/ids';
import { EvaluationConfig } from '../src/schemas/run-config';
import type { CompareInput, EvaluationSummary, OpenEvaluationResult } from '../src/schemas/stages';
import { activityProxies } from './activity-proxies';
import { createAttention } from './attention';
import { evaluationStatusQuery, type EvaluationResult, type EvaluationStatus } from './messages';
import { parseInput } from './parse-input';
import { rollOutBatch, scoreBatch, type BatchRequest } from './roll-and-score';
import { publishSearchAttributes } from './search-attributes';

/** A candidate against a baseline: both attempt the same held-out tasks, greedily, and the paired differences are judged. */
export async function evaluation(input: unknown): Promise<EvaluationResult> {
  const config = parseInput(EvaluationConfig, input, 'The evaluation’s configuration');
  const info = workflowInfo();
  const proxies = activityProxies();
  let phase = 'preparing';
  let summary: EvaluationSummary | null = null;
  let opened: OpenEvaluationResult | null = null;

  const attention = createAttention({
    onChange: () => publish(),
    step: () => phase,
    stops: () => 0, // an evaluation that nobody wants any more is cancelled
  });
  const shown = (): string => {
    const note = attention.note();
    return note === null ? phase : `needs-attention: ${note.step}: ${note.reason}`;
  };
  const publish = (): void => {
    const shownPhase = shown();
    setCurrentDetails(
      renderEvaluation(config.policy, shownPhase, summary, attention.note()?.line ?? null),
    );
    if (opened?.searchAttributes === true) {
      publishSearchAttributes({
        policy: config.policy,
        phase: shownPhase.split(':')[0] ?? shownPhase,
        candidate: config.candidate,
      });
    }
  };
  const enter = (next: string): void => {
    phase = next;
    attention.gotOn();
    publish();
  };
  setHandler(
    evaluationStatusQuery,
    (): EvaluationStatus => ({
      policy: config.policy,
      phase: shown(),
      summary,
      attention: attention.note(),
      unattended: attention.unattended(),
    }),
    {
      description: 'Phase, and the result once there is one.',
    },
  );

  enter('preparing');
  const { policy, dataset, agent, gate, candidate } = config;
  const place = await attention.attend('opening the evaluation', () =>
    proxies.control.openEvaluation.executeWithOptions(
      { summary: `check ${policy} and ${dataset}` },
      [{ policy, dataset, agent, gate, candidate, split: config.split }],
    ),
  );
  opened = place;
  const run = runKey(info.workflowId, info.firstExecutionRunId);

  const measure = async (
    checkpoint: Digest,
    iteration: number,
    label: string,
  ): Promise<CompareInput['baseline']> => {
    enter(`evaluating: ${label}`);
    const request: BatchRequest = {
      run,
      iteration,
      policy,
      agent,
      checkpoint,
      dataset: place.dataset,
      datasetName: dataset,
      selection: {
        split: config.split,
        order: 'fixed',
        from: 0,
        count: Math.min(config.maxTasks ?? Infinity, place.tasks[config.split]),
      },
      repeats: config.repeats,
      seed: config.seed,
      temperature: 0, // what would be served is what is judged
      rollouts: config.rollouts,
    };
    const batch = await rollOutBatch(proxies, attention, request, label);
    const scored = await scoreBatch(
      proxies,
      attention,
      request,
      batch,
      { [gate.target]: 1 },
      label,
    );
    return {
      checkpoint,
      batches: [...batch.batches],
      rewards: scored.rewards,
      rollouts: batch.rollouts,
      drops: sumCounts([batch.drops, scored.drops]),
    };
  };

  const baselineDigest = config.baseline ?? place.champion.digest;
  const baseline = await measure(
    baselineDigest,
    0,
    `baseline ${shortDigest(baselineDigest)} on ${config.split}`,
  );
  const measured = await measure(
    candidate,
    1,
    `candidate ${shortDigest(candidate)} on ${config.split}`,
  );
  enter('comparing');
  summary = await attention.attend('comparing the arms', () =>
    proxies.control.compare.executeWithOptions(
      {
        summary: `paired comparison on ${config.split}`,
        heartbeatTimeout: COMPARE_HEARTBEAT_TIMEOUT_MS,
      },
      [
        {
          policy,
          dataset: place.dataset,
          datasetName: dataset,
          split: config.split,
          baseline,
          candidate: measured,
          gate,
          seed: config.seed,
        },
      ],
    ),
  );
  enter(summary.decision);
  return { summary, champion: place.champion };
}
