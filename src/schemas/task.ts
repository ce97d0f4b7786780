import { z } from 'zod';
import { Json } from './json';

/** train: rollouts to learn from; select: choosing among checkpoints; gate: the promotion's evidence; report: measured once, for people. */
export const Split = z.enum(['train', 'select', 'gate', 'report']);
export type Split = z.infer<typeof Split>;

/** What an agent may know of a task. It holds no label: labels live in the task's Reference. */
export const Task = z.strictObject({
  id: z.string().min(1).max(512), // it is part of session tokens
  /** Tasks of one cluster (near-duplicates) always fall into one split. */
  cluster: z.string().min(1),
  split: Split,
  input: Json,
});
export type Task = z.infer<typeof Task>;

/** What only scorers and simulated customers may know of a task; stored apart from the tasks, and never read by training. */
export const Reference = z.strictObject({
  id: z.string().min(1).max(512),
  /** The bootstrap's cluster: tasks of one family rise and fall together. */
  family: z.string().min(1),
  /** The group under which reports list changes. */
  slice: z.string().min(1),
  reference: Json,
});
export type Reference = z.infer<typeof Reference>;

/** A worked example from which a choice policy is created: the text, and the arm that was right. */
export const Demonstration = z.strictObject({ text: z.string().min(1), arm: z.string().min(1) });
export type Demonstration = z.infer<typeof Demonstration>;

/** What a project registers under a dataset's name. Splits left out are drawn by a stable hash of the cluster. */
export interface DatasetSource {
  readonly tasks: readonly (Omit<Task, 'split' | 'cluster'> & {
    readonly split?: Split;
    readonly cluster?: string;
    readonly family: string;
    readonly slice: string;
    readonly reference: Json;
  })[];
  readonly demonstrations: readonly Demonstration[];
  /** Shown with every report that uses the data. */
  readonly attribution: string;
}
