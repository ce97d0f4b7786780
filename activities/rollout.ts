import { randomBytes } from 'node:crypto';
import { Context } from '@temporalio/activity';
import type { DatasetReader } from '../src/datasets/dataset-reader';
import { InvalidInputError } from '../src/errors';
import { createGateway } from '../src/gateway/app';
import { NO_REDACTION, type Redaction } from '../src/gateway/recording/redaction';
import { NO_UPSTREAMS, type Upstreams } from '../src/gateway/upstreams/upstreams';
import { createBatchRecorder } from '../src/gateway/recording/batch-recorder';
import { createRoutingReader } from '../src/gateway/routing-reader';
import { serveGateway, type ServedGateway } from '../src/gateway/http/serve';
import { mintSessionToken } from '../src/gateway/keys/session-token';
import type { PolicyServer } from '../src/policies/policy-server';
import type { AgentRunner } from '../src/ports/agent-runner';
import { noHandOver, type HandOver } from '../src/ports/hand-over';
import { noMeter, type Meter } from '../src/ports/meter';
import { createBackPressure } from '../src/rollouts/back-pressure';
import { runCarefully, withSolitude } from '../src/rollouts/careful-batch';
import { openFlightLog, type FlightLog } from '../src/rollouts/flight-log';
import { agentBaseUrl, LOOPBACK, type GatewayAddress } from '../src/rollouts/gateway-address';
import { runBatch, type PlannedRollout } from '../src/rollouts/run-batch';
import { createSegmentDraft, type Tally } from '../src/rollouts/segment-draft';
import { selectTasks } from '../src/rollouts/select-tasks';
import { createSolitude } from '../src/rollouts/solitude';
import { durationMs } from '../src/schemas/duration';
import type { ObjectRef } from '../src/schemas/object-ref';
import { RollOutInput, type RollOutResult } from '../src/schemas/stages';
import { canonicalJson } from '../src/storage/canonical-json';
import { sha256Hex } from '../src/storage/digest';
import { runSegmentKey } from '../src/storage/keys';
import { writeJsonLines } from '../src/storage/json-objects';
import type { ObjectStore } from '../src/storage/object-store';
import { attemptName, resumeDetails, startHeartbeat } from './heartbeat';
import { parseActivityInput } from './parse-activity-input';
import { addSegment, noSegments, resumeSegments, RolloutProgress } from './rollout-progress';

export interface RolloutDeps {
  readonly store: ObjectStore;
  readonly datasets: DatasetReader;
  readonly policies: PolicyServer;
  /** @throws {InvalidInputError} for an agent that this worker has not registered. */
  readonly runnerFor: (agent: string) => AgentRunner;
  /** Rollouts per segment: what a killed worker loses is at most twice as many, per activity. @default 500 */
  readonly segmentRollouts?: number;
  /** @default never */
  readonly handOver?: HandOver;
  /** @default none */
  readonly meter?: Meter;
  /** Where agents reach this worker. @default on loopback: agents of the same machine only */
  readonly address?: GatewayAddress;
  /** The models of upstreams that agents may ask for beside the policy. @default none */
  readonly upstreams?: Upstreams;
  /** What is done to all that is recorded. @default nothing */
  readonly redaction?: Redaction;
  /** Before a rollout's second attempt, and the first pause for who pushes back; both double. @default 500 */
  readonly backoffMs?: number;
}

export interface RolloutActivities {
  rollOut(input: RollOutInput): Promise<RollOutResult>;
}

/** How long after its deadline a session's key still opens the gateway: the clock of one machine, so a minute is plenty. */
const KEY_SLACK_MS = 60_000;

function measure(meter: Meter, ref: ObjectRef, { outcomes, drops }: Tally): void {
  meter.add('segments', 1, {});
  meter.add('segmentBytes', ref.sizeBytes, {});
  for (const [outcome, count] of Object.entries(outcomes))
    meter.add('rollouts', count, { outcome });
  for (const [reason, count] of Object.entries(drops)) meter.add('drops', count, { reason });
}

/**
 * Runs one shard of a rollout batch. Agents talk to a gateway of this activity's own on loopback, so the batch's
 * trajectories are its own. Segments are written under keys unique to the attempt and named in the heartbeat: an attempt
 * that follows a crash goes on after the last of them. They count once this activity's result names the batch. A batch
 * that is handed over ends with a segment of what it has, and its next attempt loses nothing of it.
 *
 * Every attempt but the first is careful (see runCarefully), and so is the first of an activity that follows one that was given
 * up: a rollout that ends its worker process cannot end the batch.
 */
export function createRolloutActivities({
  store,
  datasets,
  policies,
  runnerFor,
  segmentRollouts = 500,
  handOver = noHandOver(),
  meter = noMeter,
  address = LOOPBACK,
  upstreams = NO_UPSTREAMS,
  redaction = NO_REDACTION,
  backoffMs = 500,
}: RolloutDeps): RolloutActivities {
  const solitude = createSolitude(); // of all the batches of this process
  return {
    async rollOut(rawInput) {
      const input = parseActivityInput(RollOutInput, rawInput, 'rollOut');
      const signal = Context.current().cancellationSignal;
      const runner = runnerFor(input.agent);
      const split = await datasets.tasks(input.datasetName, input.dataset, input.selection.split);
      if (split.length === 0) {
        throw new InvalidInputError(
          `the dataset has no tasks in the split ${input.selection.split}`,
          {
            context: { dataset: input.datasetName },
          },
        );
      }
      // A selection longer than its split holds a task more than once: each pass brings members of its own.
      const planned: PlannedRollout[] = selectTasks(split, input.selection, input.seed).flatMap(
        (selected) =>
          Array.from({ length: input.repeats }, (_, repeat) => ({
            selected,
            member: selected.pass * input.repeats + repeat,
          })),
      );

      const resumed = resumeDetails(RolloutProgress);
      const heartbeat = startHeartbeat(
        resumed ?? noSegments(input.checkpoint, planned.length).progress,
      );
      let flights: FlightLog | null = null;
      const recorder = createBatchRecorder();
      const pressure = createBackPressure({ most: input.rollouts.concurrency, baseMs: backoffMs });
      const signingKey = randomBytes(32); // this batch's keys open this batch's gateway and nothing else
      let server: ServedGateway | null = null;
      const attempt = `s${input.shard}-${attemptName(randomBytes(4).toString('hex'))}`;
      const keyOf = (what: string | number): string =>
        runSegmentKey(input.run, input.iteration, 'trajectories', `${attempt}-${what}`);
      const timeoutMs = durationMs(input.rollouts.timeout);
      let committed = noSegments(input.checkpoint, planned.length);
      try {
        if (resumed !== null) committed = await resumeSegments(store, resumed, input.checkpoint);
        flights = await openFlightLog(store, {
          ...{ run: input.run, iteration: input.iteration },
          batch: sha256Hex(canonicalJson(input)).slice(0, 32),
          writer: randomBytes(8).toString('hex'),
        });
        const isCareful = Context.current().info.attempt > 1 || flights.casualties.found;
        await policies.serve(input.checkpoint); // loaded before the first call, not inside it
        server = await serveGateway(
          createGateway({
            policies,
            routing: createRoutingReader(store),
            upstreams,
            redaction,
            recorder,
            signingKey,
            apiKeys: null,
            rewards: null,
          }),
          // Agents elsewhere get keys of one rollout each; whoever sets RATCHET_ROLLOUT_HOST says that the network may see them.
          { host: address.host, exposure: { kind: 'plain' } },
        );
        let from = committed.progress.committed;
        let done = from;
        let waiting = 0;
        const show = (): void => heartbeat.set({ ...committed.progress, done, waiting });
        let segment = createSegmentDraft();
        const roll = isCareful ? runCarefully.bind(null, flights, solitude) : runBatch;
        const rollouts = roll(
          {
            run: input.run,
            iteration: input.iteration,
            agent: input.agent,
            model: `ratchet/${input.policy}`,
            ...(input.go === undefined ? {} : { go: input.go }),
          },
          planned.slice(from),
          {
            runner: isCareful ? runner : withSolitude(runner, solitude),
            recorder,
            baseUrl: agentBaseUrl(address, server),
            pressure,
            mintKey: (session, { selected, member }) =>
              mintSessionToken(signingKey, {
                session,
                agent: input.agent,
                policy: input.policy,
                checkpoint: input.checkpoint,
                sampling: { temperature: input.temperature },
                draw: {
                  seed: input.seed,
                  iteration: input.iteration,
                  task: selected.task.id,
                  member,
                },
                expiresAt: Math.ceil((Date.now() + timeoutMs + KEY_SLACK_MS) / 1000),
              }),
          },
          {
            concurrency: input.rollouts.concurrency,
            timeoutMs,
            attempts: input.rollouts.attempts,
            retryDelayMs: backoffMs,
            // Agents go on while a segment is written.
            ahead: Math.max(segmentRollouts, input.rollouts.concurrency),
            signal,
            handOver,
            onFinished: (durationMs) => {
              done += 1;
              meter.observe('rolloutSeconds', durationMs / 1000, {});
              show();
            },
            onWaiting: (isWaiting) => {
              waiting += isWaiting ? 1 : -1;
              show();
            },
          },
        );
        const commit = async (): Promise<void> => {
          const upTo = from + segment.rollouts;
          const { outcomes, drops } = segment;
          const ref = await segment.write(store, keyOf(from));
          committed = await addSegment(store, committed, { ref, outcomes, drops }, upTo, () =>
            keyOf(`upto-${upTo}`),
          );
          measure(meter, ref, segment);
          show();
          from = upTo;
          segment = createSegmentDraft();
        };
        for await (const finished of rollouts) {
          segment.add(finished);
          if (segment.rollouts === segmentRollouts) await commit();
        }
        if (segment.rollouts > 0) await commit();
        if (from < planned.length) throw handOver.begun.reason;
      } finally {
        heartbeat.stop();
        await server?.close(0);
        await flights?.close();
      }
      const { manifest } = committed;
      const batch = await writeJsonLines(store, keyOf('batch'), [manifest]);
      await flights.clear();
      return {
        batch,
        rollouts: manifest.rollouts,
        outcomes: manifest.outcomes,
        drops: manifest.drops,
      };
    },
  };
}
