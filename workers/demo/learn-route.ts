import { setTimeout as wait } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { run as agent } from '../../examples/model-router/agent';
import { MODELS, PRICES } from '../../examples/model-router/models';
import { answerOfCustomer } from '../../examples/support-desk/customer';
import { parseReference } from '../../examples/support-desk/reference';
import { IntegrityError } from '../../src/errors';
import { percent } from '../../src/loop/markdown';
import type { RunOutcome, RunStatus } from '../../src/loop/run-state';
import type { RunConfigInput } from '../../src/schemas/run-config';
import type { DatasetSource } from '../../src/schemas/task';
import type { ObjectStore } from '../../src/storage/object-store';
import type { trainingRun } from '../../workflows';
import { statusQuery } from '../../workflows/messages';
import { measureLive, type LiveFigures } from './live-figures';
import { giveFeedback, serveCustomers, type LiveEndpoint, type LiveTask } from './live-traffic';
import type { ProgressView } from './progress-view';
import { describe, watch } from './watch-run';

/** In whose name the desk asks; the run's `live.agent`. */
export const ROUTED_AGENT = 'model-router';
/** What the desk asks for, whoever answers. */
export const ROUTED_MODEL = 'router/desk';

/** A gateway looks every 2 s who is champion. */
const ROUTING_LAG_MS = 4_000;

export interface RouteLesson {
  readonly client: Client;
  readonly taskQueue: string;
  /** Also the run's workflow id. */
  readonly name: string;
  readonly config: RunConfigInput;
  readonly dataset: Pick<DatasetSource, 'tasks'>;
  readonly endpoint: LiveEndpoint;
  /** The gateway's. */
  readonly store: ObjectStore;
  /** Approve instead of asking. */
  readonly yes: boolean;
  readonly view: ProgressView;
  readonly signal: AbortSignal;
}

export interface RouteLearned {
  readonly outcome: RunOutcome;
  readonly offPolicy: RunStatus['points'][number]['offPolicy'];
  /** Of the report split, served live after the promotion; null if nothing was promoted. */
  readonly heldOut: Readonly<Record<'dear' | 'cheap' | 'router', LiveFigures>> | null;
}

/** What a gateway is told of the doubles and the router in front of them. */
export function gatewayConfigOf(doublesUrl: string, policy: string): object {
  return {
    upstreams: { doubles: { url: doublesUrl, prices: PRICES } },
    models: Object.fromEntries(MODELS.map((model) => [model, [{ upstream: 'doubles' }]])),
    policies: { [ROUTED_MODEL]: policy },
  };
}

/** Runs a router's life: first champion, customers and what they say, training, gate, approval, promotion, and customers again. */
export async function learnRoute(lesson: RouteLesson): Promise<RouteLearned> {
  const { client, taskQueue, name, config, dataset, view, signal } = lesson;
  const handle = await client.workflow.start<typeof trainingRun>('trainingRun', {
    ...{ taskQueue, workflowId: name, args: [config] },
    staticSummary: 'A router learns from live feedback',
  });
  // The run makes the first champion, which takes both models evenly; then customers can come.
  for (;;) {
    signal.throwIfAborted();
    if ((await handle.query(statusQuery)).baseSelect !== null) break;
    await wait(300);
  }
  await customersCome(
    lesson,
    dataset.tasks.filter(({ split }) => split === 'train'),
  );
  const { outcome, status } = await watch(
    ...([client, handle, view, lesson, signal, async () => undefined] as const),
  );
  view.say(`\n  ${describe(outcome)}`);
  const offPolicy = status.points.at(-1)?.offPolicy;
  if (outcome.kind !== 'promoted') return { outcome, offPolicy, heldOut: null };

  const tasks = dataset.tasks.filter(({ split }) => split === 'report');
  view.say(`\n  ${tasks.length} held-out queries are served live by each …`);
  await wait(ROUTING_LAG_MS, undefined, { signal });
  const measure = (model: string): Promise<LiveFigures> =>
    measureLive({
      ...{ ...lesson.endpoint, store: lesson.store, agentName: ROUTED_AGENT },
      ...{ tasks, agent, model, hasHelped, signal },
    });
  const heldOut = {
    dear: await measure('dear'),
    cheap: await measure('cheap'),
    router: await measure(ROUTED_MODEL),
  };
  const [champion, ...others] = heldOut.router.checkpoints;
  if (champion !== outcome.champion.digest || others.length > 0) {
    throw new IntegrityError('held-out queries were not served by what was promoted', {
      context: { expected: outcome.champion.digest, got: heldOut.router.checkpoints.join(', ') },
    });
  }
  return { outcome, offPolicy, heldOut };
}

async function customersCome(
  { endpoint, view, signal }: RouteLesson,
  tasks: readonly LiveTask[],
): Promise<void> {
  const every = Math.ceil(tasks.length / 10);
  let served = 0;
  await serveCustomers({
    ...{ ...endpoint, tasks, agent, model: ROUTED_MODEL, signal },
    async onServed(task, result) {
      await giveFeedback(endpoint, task, result, hasHelped(task, result));
      served += 1;
      if (served % every === 0 || served === tasks.length) {
        view.say(`  ${served} of ${tasks.length} customers served and asked`);
      }
    },
  });
}

function hasHelped({ reference }: LiveTask, result: unknown): boolean {
  return answerOfCustomer(parseReference(reference), result) === 'resolved';
}

/** The figures that it was all for, in lines. */
export function renderFigures({
  dear,
  cheap,
  router,
}: NonNullable<RouteLearned['heldOut']>): string[] {
  const line = (who: string, { resolution, costPerCall }: LiveFigures): string =>
    `  ${who.padEnd(22)}  resolved ${percent(resolution)}   cost ${percent(costPerCall / dear.costPerCall)}`;
  return [
    line('always the dear model', dear),
    line('always the cheap model', cheap),
    line('the learned router', router),
    `  The router keeps ${percent(router.resolution / dear.resolution)} of the resolution at ${percent(router.costPerCall / dear.costPerCall)} of the cost.`,
  ];
}
