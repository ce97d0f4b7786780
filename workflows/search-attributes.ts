import { defineSearchAttributeKey } from '@temporalio/common';
import { upsertSearchAttributes } from '@temporalio/workflow';

const POLICY = defineSearchAttributeKey('RatchetPolicy', 'KEYWORD');
const PHASE = defineSearchAttributeKey('RatchetPhase', 'KEYWORD');
const CANDIDATE = defineSearchAttributeKey('RatchetCandidate', 'KEYWORD');
const ITERATION = defineSearchAttributeKey('RatchetIteration', 'INT');
const REWARD = defineSearchAttributeKey('RatchetReward', 'DOUBLE');

export interface SearchValues {
  readonly policy: string;
  readonly phase: string;
  readonly candidate?: string;
  readonly iteration?: number;
  readonly reward?: number;
}

/** Each upsert is an event in the history: call it on a change of phase only. */
export function publishSearchAttributes(values: SearchValues): void {
  upsertSearchAttributes([
    { key: POLICY, value: values.policy },
    { key: PHASE, value: values.phase },
    ...(values.candidate === undefined ? [] : [{ key: CANDIDATE, value: values.candidate }]),
    ...(values.iteration === undefined ? [] : [{ key: ITERATION, value: values.iteration }]),
    ...(values.reward === undefined ? [] : [{ key: REWARD, value: values.reward }]),
  ]);
}
