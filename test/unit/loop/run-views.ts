import type { CurvePoint, RunState, RunStatus } from '../../../src/loop/run-state';
import type { ApprovalRequest } from '../../../src/schemas/approval';
import type { Estimate } from '../../../src/schemas/estimate';
import { RunConfig } from '../../../src/schemas/run-config';
import type { EvaluationSummary } from '../../../src/schemas/stages';
import { digest, ref } from '../../fakes/fake-activities';

export const estimate = (value: number): Estimate => ({
  ...{ value, low: value - 0.01, high: value + 0.01, n: 1000 },
});

export const point = (iteration: number, rest: Partial<CurvePoint> = {}): CurvePoint => ({
  iteration,
  checkpoint: digest(iteration),
  rollouts: 1000,
  dropped: 0,
  reward: estimate(0.7),
  select: estimate(0.75),
  loss: 0.5,
  ...rest,
});

export const request: ApprovalRequest = {
  candidate: digest(0xc),
  evaluation: digest(0xe),
  dataset: digest(0xd),
  champion: { digest: digest(1), generation: 1 },
  requestedAt: '2026-11-24T08:00:00.000Z',
  deadline: '2026-12-01T08:00:00.000Z',
};

export const config = RunConfig.parse({
  ...{ policy: 'support', dataset: 'desk', agent: 'desk' },
  reward: { weights: { resolved: 1 } },
  gate: { target: 'resolved' },
  approval: { approvers: ['ops-lead'] },
});

export function runState(rest: Partial<RunState> = {}): RunState {
  return {
    ...{ formatVersion: 1, config, run: 'desk-1.abc', startedAt: '2026-11-24T08:00:00.000Z' },
    ...{ dataset: digest(0xd), tasks: { train: 100, select: 10, gate: 50, report: 50 } },
    ...{ searchAttributes: true, base: request.champion, baseSelect: null },
    ...{ checkpoint: digest(1), replay: null, iterations: 0, points: [], best: null },
    ...{ paused: false, stopRequested: false, refusals: [], ...rest },
  };
}

export function runStatus(rest: Partial<RunStatus> = {}): RunStatus {
  return {
    ...{ run: 'desk-1.abc', policy: 'support', phase: { kind: 'preparing' } },
    ...{ iterations: 0, of: 8, startedAt: '2026-11-24T08:00:00.000Z', dataset: digest(0xd) },
    ...{ base: request.champion, baseSelect: null, checkpoint: digest(1), best: null, points: [] },
    ...{ gate: null, report: null, paused: false, refusals: [], unattended: [], ...rest },
  };
}

export function summary(rest: Partial<EvaluationSummary> = {}): EvaluationSummary {
  return {
    ...{ evaluation: digest(0xe), split: 'gate', dataset: digest(0xd) },
    ...{ baseline: digest(1), candidate: digest(0xc), decision: 'pass', reasons: ['It rose.'] },
    target: {
      ...{ metric: 'resolved', baseline: estimate(0.7), candidate: estimate(0.88) },
      ...{ difference: 0.18, lower: 0.155 },
    },
    ...{ guardrails: [], fixed: 200, broken: 20, ...rest },
  };
}

export { ref };
