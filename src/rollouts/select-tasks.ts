import { shuffle, stream } from '../rl/counter-rng';
import type { TaskSelection } from '../schemas/stages';
import type { Task } from '../schemas/task';

export interface SelectedTask {
  readonly task: Task;
  /** How often the sequence went through the whole split before: tells apart a task's occurrences in one selection. */
  readonly pass: number;
}

/** Any constant: a fixed order must not depend on a run's seed, or two runs would be measured on different tasks. */
const FIXED_SEED = 0;

/**
 * The tasks of a selection. 'fixed' is one permutation of the split, the same for every run, and ends with the split: any
 * prefix of it is a fair sample. 'shuffled' goes on for ever, pass after pass, each a permutation of its own keyed by
 * (seed, pass): every task once per pass, the same on every machine.
 *
 * @param tasks one split, in stored order; not empty.
 */
export function selectTasks(
  tasks: readonly Task[],
  { order, from, count }: TaskSelection,
  seed: number,
): SelectedTask[] {
  const indices = tasks.map((_, index) => index);
  const at = (index: number, pass: number): SelectedTask => ({ task: tasks[index] as Task, pass });
  if (order === 'fixed') {
    return shuffle(indices, stream({ seed: FIXED_SEED, purpose: 'rollouts.fixed-order' }))
      .slice(from, from + count)
      .map((index) => at(index, 0));
  }
  const selected: SelectedTask[] = [];
  let pass = -1;
  let permutation: number[] = [];
  for (let position = from; position < from + count; position += 1) {
    const passOf = Math.floor(position / tasks.length);
    if (passOf !== pass) {
      pass = passOf;
      permutation = shuffle(indices, stream({ seed, purpose: 'rollouts.order', iteration: pass }));
    }
    selected.push(at(permutation[position % tasks.length] as number, pass));
  }
  return selected;
}
