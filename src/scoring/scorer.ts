import type { Json } from '../schemas/json';
import type { Message } from '../schemas/message';
import type { Reference, Task } from '../schemas/task';
import type { Trajectory } from '../schemas/trajectory';

/** What a scorer sees: the only place, with simulated customers, where a task's reference is known. */
export interface ScorerInput {
  readonly trajectory: Trajectory;
  /** What the agent returned. */
  readonly result: Json;
  readonly task: Task;
  readonly reference: Reference;
  /** The message with this id, of the trajectory's segment. */
  readonly message: (id: string) => Message;
  /** Aborted once nobody waits for the value any more: pass it to whatever is asked. */
  readonly signal?: AbortSignal;
}

/** (trajectory, task) -> value. Pure or not, it must give the same value for the same input: scoring is retried. */
export interface Scorer {
  readonly name: string;
  /** Changes whenever the same input may score differently; it is part of every record. */
  readonly version: string;
  /**
   * @returns the value, or null where the scorer does not apply to the task. A throw, or no value in time, is retried, then
   *   `unresolved`.
   */
  score(input: ScorerInput): number | null | Promise<number | null>;
}
