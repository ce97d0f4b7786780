/** The queue of workflows and short activities; the others are named after it, so a second installation only changes this one. */
export const DEFAULT_TASK_QUEUE = 'ratchet';

export interface TaskQueues {
  readonly control: string;
  readonly rollout: string;
  readonly gpu: string;
}

export function taskQueues(control: string): TaskQueues {
  return { control, rollout: `${control}-rollout`, gpu: `${control}-gpu` };
}
