import {
  condition,
  executeChild,
  makeContinueAsNewFunc,
  patched,
  setCurrentDetails,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import { decideDrops, sumCounts } from '../src/loop/drops';
import { withRefusal } from '../src/loop/refusals';
import { renderRun } from '../src/loop/render';
import { runKey } from '../src/loop/run-key';
import {
  finishIteration,
  reasonAgainst,
  isSelectDue,
  phaseName,
  RunState,
  type RunOutcome,
  type RunPhase,
  type RunStatus,
} from '../src/loop/run-state';
import type { ApprovalRecord, ApprovalRequest } from '../src/schemas/approval';
import { durationMs } from '../src/schemas/duration';
import type { Estimate } from '../src/schemas/estimate';
import { shortDigest, type Digest } from '../src/schemas/ids';
import type { ObjectRef } from '../src/schemas/object-ref';
import { RunConfig, type LiveSource } from '../src/schemas/run-config';
import type { EvaluationSummary, TaskSelection } from '../src/schemas/stages';
import { activityProxies } from './activity-proxies';
import { createApprovalDesk } from './approval-desk';
import { createAttention, StepAbandoned } from './attention';
import { collectLive } from './collect-live';
import { evaluation } from './evaluation';
import { handOver } from './hand-over';
import {
  pauseSignal,
  resumeSignal,
  statusQuery,
  stopSignal,
  type EvaluationResult,
} from './messages';
import { parseInput } from './parse-input';
import { rollOutBatch, scoreBatch, type BatchRequest } from './roll-and-score';
import { publishSearchAttributes } from './search-attributes';

/** What an iteration trains on. */
interface Gathered {
  readonly batches: readonly ObjectRef[];
  readonly rewards: ObjectRef;
  readonly reward: Estimate | null;
  readonly rollouts: number;
  readonly scored: number;
  readonly drops: Readonly<Record<string, number>>;
  readonly what: string;
  /** Not trained on, to estimate off-policy what the checkpoint is worth; null: nothing. */
  readonly heldOut: { readonly batches: ObjectRef[]; readonly rewards: ObjectRef } | null;
}

const total = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((sum, count) => sum + count, 0);

/**
 * Roll out (or collect live feedback), score, train, N times; then gate, ask a human and hand the approved candidate to a promotion.
 *
 * @param input a RunConfig (`ratchet schema run` prints its JSON Schema).
 * @param carried the state that continue-as-new hands on; nobody else passes it.
 */
export async function trainingRun(input: unknown, carried?: unknown): Promise<RunOutcome> {
  const config = parseInput(RunConfig, input, 'The run’s configuration');
  const resumed = carried === undefined ? null : parseInput(RunState, carried, 'The carried state');
  const info = workflowInfo();
  const proxies = activityProxies();
  const run = runKey(info.workflowId, info.firstExecutionRunId);

  let state: RunState | null = resumed;
  let phase: RunPhase = { kind: 'preparing' };
  let gate: EvaluationSummary | null = null;
  let report: EvaluationSummary | null = null;
  let paused = resumed?.paused ?? false;
  let stops = resumed?.stopRequested === true ? 1 : 0;
  let refusals = resumed?.refusals ?? [];

  const attention = createAttention({
    onChange: () => publish(),
    step: () => phaseName(phase),
    stops: () => stops,
  });
  const { attend } = attention;
  const shown = (): RunPhase => {
    const note = attention.note();
    return note === null || phase.kind === 'done' ? phase : { kind: 'needs-attention', ...note };
  };
  const status = (): RunStatus => ({
    run,
    policy: config.policy,
    phase: shown(),
    iterations: state?.iterations ?? 0,
    of: config.iterations,
    startedAt: state?.startedAt ?? info.startTime.toISOString(),
    dataset: state?.dataset ?? null,
    base: state?.base ?? null,
    baseSelect: state?.baseSelect ?? null,
    checkpoint: state?.checkpoint ?? null,
    best: state?.best ?? null,
    points: state?.points ?? [],
    gate,
    report,
    paused,
    refusals,
    unattended: attention.unattended(),
  });
  const show = (): void =>
    setCurrentDetails(renderRun(status(), info.workflowId, config.approval.approvers));
  const publish = (): void => {
    show();
    if (state?.searchAttributes !== true) return;
    const next = shown();
    const reward = state.points.at(-1)?.reward?.value;
    publishSearchAttributes({
      policy: config.policy,
      phase: phaseName(next),
      iteration: state.iterations,
      ...('candidate' in next ? { candidate: next.candidate } : {}),
      ...(next.kind === 'awaiting-approval' ? { candidate: next.request.candidate } : {}),
      ...(reward === undefined ? {} : { reward }),
    });
  };
  const enter = (next: RunPhase): void => {
    phase = next;
    attention.gotOn();
    publish();
  };

  setHandler(statusQuery, status, {
    description: 'Phase, learning curve, evidence, refused messages.',
  });
  setHandler(pauseSignal, () => void (paused = true), {
    description: 'Stop before the next iteration, until resume.',
  });
  setHandler(resumeSignal, () => void (paused = false), { description: 'Go on after pause.' });
  setHandler(
    stopSignal,
    () => {
      stops += 1;
      paused = false; // it ends a pause, too: there is no next iteration to hold
    },
    {
      description:
        'Finish this iteration, then evaluate the best checkpoint; while a step needs attention: give it up.',
    },
  );
  const desk = createApprovalDesk({
    approvers: config.approval.approvers,
    onRefused: (message, reason) => {
      refusals = withRefusal(refusals, { message, reason, at: new Date().toISOString() });
      show();
    },
  });

  const open = async (): Promise<RunState> => {
    enter({ kind: 'preparing' });
    const opened = await attend('opening the run', () =>
      proxies.control.openRun.executeWithOptions(
        { summary: `check ${config.policy}, ${config.dataset}, ${config.agent}` },
        [{ config }],
      ),
    );
    let base = opened.champion;
    if (base === null) {
      enter({ kind: 'creating-policy' });
      const created = await attend('creating the policy', () =>
        proxies.gpu.createPolicy.executeWithOptions(
          { summary: `create ${config.policy} from demonstrations` },
          [{ run, policy: config.policy, seed: config.seed }],
        ),
      );
      base = await attend('registering the first champion', () =>
        proxies.control.registerChampion.executeWithOptions(
          { summary: `champion 1: ${shortDigest(created.checkpoint)}` },
          [{ policy: config.policy, checkpoint: created.checkpoint }],
        ),
      );
    }
    return {
      formatVersion: 1,
      config,
      run,
      startedAt: info.startTime.toISOString(),
      dataset: opened.dataset,
      tasks: opened.tasks,
      searchAttributes: opened.searchAttributes,
      base,
      baseSelect: null,
      checkpoint: base.digest,
      replay: null,
      iterations: 0,
      points: [],
      best: null,
      paused,
      stopRequested: stops > 0,
      refusals,
    };
  };

  const requestFor = (
    current: RunState,
    checkpoint: Digest,
    selection: TaskSelection,
    iteration: number,
  ): BatchRequest => ({
    run: selection.split === 'train' ? run : `${run}.select`,
    iteration,
    policy: config.policy,
    agent: config.agent,
    checkpoint,
    dataset: current.dataset,
    datasetName: config.dataset,
    selection,
    repeats: selection.split === 'train' ? config.repeats : 1,
    seed: config.seed,
    temperature: selection.split === 'train' ? config.temperature : 0,
    rollouts: config.rollouts,
  });

  /** The target metric on the select split, greedily. */
  const measureSelect = async (
    current: RunState,
    checkpoint: Digest,
    iteration: number,
  ): Promise<Estimate | null> => {
    enter({ kind: 'selecting', iteration: Math.max(0, iteration - 1) });
    const label = `select, after iteration ${iteration}`;
    const count = Math.min(config.select.maxTasks, current.tasks.select);
    const selection = { split: 'select', order: 'fixed', from: 0, count } as const;
    const request = requestFor(current, checkpoint, selection, iteration);
    const batch = await rollOutBatch(proxies, attention, request, label);
    const scored = await scoreBatch(
      proxies,
      attention,
      request,
      batch,
      config.reward.weights,
      label,
    );
    return scored.metrics[config.gate.target] ?? null;
  };

  const labelOf = (iteration: number): string =>
    `iteration ${iteration + 1} of ${config.iterations}`;

  /** Trains on what an iteration gathered, and measures what came of it. */
  const learn = async (current: RunState, gathered: Gathered): Promise<RunState> => {
    const iteration = current.iterations;
    const label = labelOf(iteration);
    enter({ kind: 'training', iteration });
    const trained = await attend(`training of ${label}`, () =>
      proxies.gpu.train.executeWithOptions(
        { summary: `${label}: train on ${gathered.scored} ${gathered.what}` },
        [
          {
            run,
            iteration,
            policy: config.policy,
            dataset: current.dataset,
            parent: current.checkpoint,
            batches: [...gathered.batches],
            rewards: gathered.rewards,
            weights: config.reward.weights,
            replay: current.replay,
            train: config.train,
            seed: config.seed,
          },
        ],
      ),
    );
    const { heldOut } = gathered;
    const offPolicy =
      heldOut === null
        ? null
        : await attend(`off-policy estimate of ${label}`, () =>
            proxies.rollout.estimateOffPolicy.executeWithOptions(
              { summary: `${label}: ${shortDigest(trained.checkpoint)} on held-out decisions` },
              [{ candidate: trained.checkpoint, ...heldOut, weights: config.reward.weights }],
            ),
          );
    const isLast = iteration + 1 === config.iterations || stops > 0;
    const select = isSelectDue(iteration, config, isLast)
      ? await measureSelect(current, trained.checkpoint, iteration + 1)
      : null;
    return finishIteration(current, {
      point: {
        iteration: iteration + 1,
        checkpoint: trained.checkpoint,
        rollouts: gathered.rollouts,
        dropped: total(gathered.drops),
        reward: gathered.reward,
        select,
        loss: trained.metrics['loss'] ?? null,
        ...(offPolicy === null ? {} : { offPolicy }),
      },
      replay: trained.replay,
    });
  };

  /** From live feedback. The same state again where there is not enough of it yet: the caller asks again, or does what it was told meanwhile. */
  const iterateLive = async (current: RunState, live: LiveSource): Promise<RunState> => {
    const label = labelOf(current.iterations);
    enter({ kind: 'collecting', iteration: current.iterations });
    const collected = await collectLive(proxies, attention, current, live, label);
    if (collected.kind === 'waiting') return current;
    const { decisions, reward, drops, training, heldOut, to } = collected;
    const verdict = decideDrops({ rollouts: decisions + total(drops), drops }, config.maxDropShare);
    if (verdict.kind === 'stop') {
      await attention.ask(`live feedback for ${label}`, verdict.reason);
      return current; // the cause is mended: look again
    }
    const gathered = {
      ...{ ...training, heldOut, drops, reward, what: 'live decisions' },
      ...{ rollouts: decisions, scored: decisions },
    };
    return { ...(await learn(current, gathered)), liveTo: to };
  };

  const iterate = async (current: RunState): Promise<RunState> => {
    const iteration = current.iterations;
    const label = labelOf(iteration);
    const selection = {
      split: 'train',
      order: 'shuffled',
      from: iteration * config.tasksPerIteration,
      count: config.tasksPerIteration,
    } as const;
    const request = requestFor(current, current.checkpoint, selection, iteration);
    for (let go = 0; ;) {
      enter({ kind: 'rolling-out', iteration });
      const batch = await rollOutBatch(
        proxies,
        attention,
        go === 0 ? request : { ...request, go },
        label,
      );
      go = batch.goes;
      enter({ kind: 'scoring', iteration });
      const scored = await scoreBatch(
        proxies,
        attention,
        request,
        batch,
        config.reward.weights,
        label,
      );
      const drops = sumCounts([batch.drops, scored.drops]);
      const verdict = decideDrops({ rollouts: batch.rollouts, drops }, config.maxDropShare);
      if (verdict.kind === 'stop') {
        await attention.ask(`rollouts of ${label}`, verdict.reason);
        continue; // the cause is mended: the same tasks again, in fresh sessions
      }
      return learn(current, {
        ...{ batches: batch.batches, rewards: scored.rewards, reward: scored.reward, drops },
        ...{ rollouts: batch.rollouts, scored: scored.rollouts, what: 'rollouts', heldOut: null },
      });
    }
  };

  const holdWhilePaused = async ({ iterations }: RunState): Promise<void> => {
    enter({ kind: 'paused', iteration: iterations });
    await condition(() => !paused);
  };

  /** Iterates until all are done, or until `stop`. */
  const improve = async (opened: RunState): Promise<RunState> => {
    let current = opened;
    try {
      current = state = {
        ...current,
        baseSelect: current.baseSelect ?? (await measureSelect(current, current.base.digest, 0)),
      };
      for (
        let inThisHistory = 0;
        current.iterations < config.iterations && stops === 0;
        inThisHistory += 1
      ) {
        if (paused) {
          await holdWhilePaused(current);
          continue;
        }
        if (
          inThisHistory >= config.iterationsPerHistory ||
          (inThisHistory > 0 && workflowInfo().continueAsNewSuggested)
        ) {
          await makeContinueAsNewFunc<typeof trainingRun>()(config, {
            ...current,
            paused,
            stopRequested: stops > 0,
            refusals,
          });
        }
        current = state =
          config.live === undefined
            ? await iterate(current)
            : await iterateLive(current, config.live);
      }
    } catch (error) {
      if (!(error instanceof StepAbandoned)) throw error; // `stop` while the iteration needed attention: evaluate what there is
    }
    // Also before the evaluation: a paused run leaves its workers alone.
    if (paused && patched('pause-before-evaluation')) await holdWhilePaused(current);
    return current;
  };

  const finish = (outcome: RunOutcome): RunOutcome => {
    enter({ kind: 'done', outcome });
    return outcome;
  };
  let evaluations = 0;
  const evaluate = (candidate: Digest, split: 'gate' | 'report'): Promise<EvaluationResult> =>
    attend(`evaluation on ${split}`, () => {
      evaluations += 1;
      return executeChild(evaluation, {
        workflowId: `${info.workflowId}.${split}-${evaluations}`,
        args: [
          {
            policy: config.policy,
            dataset: config.dataset,
            agent: config.agent,
            candidate,
            split,
            seed: config.seed,
            rollouts: config.rollouts,
            gate: config.gate,
          },
        ],
        staticSummary: `${config.policy}: ${shortDigest(candidate)} on ${split}`,
      });
    });

  const ask = async (
    candidate: Digest,
    evidence: EvaluationResult,
  ): Promise<ApprovalRecord | ApprovalRequest> => {
    const now = Date.now();
    const request: ApprovalRequest = {
      candidate,
      evaluation: evidence.summary.evaluation,
      dataset: evidence.summary.dataset,
      champion: evidence.champion,
      requestedAt: new Date(now).toISOString(),
      deadline: new Date(now + durationMs(config.approval.deadline)).toISOString(),
    };
    const answer = desk.ask(request);
    enter({ kind: 'awaiting-approval', request });
    return (await answer) ?? request;
  };

  /** Evaluates the best checkpoint, asks, promotes; again from the start whenever the champion moved meanwhile. */
  const conclude = async ({ best, points }: RunState): Promise<RunOutcome> => {
    if (best === null) {
      return finish({
        kind: 'no-better-checkpoint',
        reason: 'no iteration was finished and measured on the select split',
      });
    }
    const candidate = best.checkpoint;
    const worse = reasonAgainst(points.find(({ checkpoint }) => checkpoint === candidate));
    if (worse !== null) return finish({ kind: 'gate-not-passed', reasons: [worse] });
    for (;;) {
      enter({ kind: 'gating', candidate });
      const evidence = await evaluate(candidate, 'gate');
      gate = evidence.summary;
      if (gate.decision !== 'pass')
        return finish({ kind: 'gate-not-passed', reasons: gate.reasons });
      if (config.report && report === null) {
        enter({ kind: 'reporting', candidate });
        report = (await evaluate(candidate, 'report')).summary;
      }
      const answer = await ask(candidate, evidence);
      if (!('decision' in answer))
        return finish({ kind: 'approval-expired', deadline: answer.deadline });
      if (answer.decision === 'reject') {
        return finish({
          kind: 'rejected',
          by: answer.by,
          ...(answer.comment === undefined ? {} : { comment: answer.comment }),
        });
      }
      enter({ kind: 'promoting', candidate });
      const settled = await handOver(attention, {
        policy: config.policy,
        candidate,
        watch: config.watch,
        approval: answer,
        approvers: config.approval.approvers,
      });
      // A promotion that ended early, cut off between moving the pointer and saying so: what was approved is what serves.
      const isServed =
        settled.champion.digest === candidate && gate.baseline !== candidate && patched('served');
      if (settled.kind === 'promoted' || isServed) {
        return finish({
          kind: 'promoted',
          champion: settled.champion,
          promotion: `promotion.${config.policy}`,
        });
      }
    }
  };

  try {
    const opened = state ?? (await open());
    state = opened;
    return await conclude(await improve(opened));
  } catch (error) {
    if (!(error instanceof StepAbandoned)) throw error;
    return finish({ kind: 'stopped', step: error.step, reason: error.reason });
  }
}
