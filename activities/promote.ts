import { z } from 'zod';
import { InvalidInputError } from '../src/errors';
import { ApprovalRecord } from '../src/schemas/approval';
import type { Digest } from '../src/schemas/ids';
import {
  OpenPromotionInput,
  PromoteInput,
  RegisterChampionInput,
  RollbackInput,
  type Champion,
  type RoutingOutcome,
} from '../src/schemas/stages';
import { readCheckpointManifest } from '../src/storage/checkpoints';
import type { ObjectStore } from '../src/storage/object-store';
import {
  createRouting,
  readRouting,
  swapRouting,
  writePromotionRecord,
  type Routing,
} from '../src/storage/routing';
import { parseActivityInput } from './parse-activity-input';

export interface PromoteDeps {
  readonly store: ObjectStore;
  readonly now: () => number;
  /** Whether the Temporal server knows our search attributes. */
  readonly hasSearchAttributes: () => Promise<boolean>;
}

type Input<S extends z.ZodType> = z.input<S>;

export interface PromoteActivities {
  registerChampion(input: Input<typeof RegisterChampionInput>): Promise<Champion>;
  openPromotion(input: Input<typeof OpenPromotionInput>): Promise<{ searchAttributes: boolean }>;
  promote(input: Input<typeof PromoteInput>): Promise<RoutingOutcome>;
  rollback(input: Input<typeof RollbackInput>): Promise<RoutingOutcome>;
}

/** Who moved a policy's champion, on which evidence; stored before the pointer that names it. */
const PromotionRecord = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('promoted'),
    champion: z.string(),
    previous: z.string(),
    approval: ApprovalRecord,
    at: z.iso.datetime(),
  }),
  z.strictObject({
    kind: z.literal('rolled-back'),
    champion: z.string(),
    previous: z.string(),
    by: z.string(),
    reason: z.string(),
    at: z.iso.datetime(),
  }),
]);
type PromotionRecord = z.infer<typeof PromotionRecord>;

const championOf = ({ champion, generation }: Routing): Champion => ({
  digest: champion,
  generation,
});

/** Moves routing pointers: the only writers of `routing.json`. Every move is a compare-and-swap that knows its own retry. */
export function createPromoteActivities({
  store,
  now,
  hasSearchAttributes,
}: PromoteDeps): PromoteActivities {
  const current = async (policy: string): Promise<{ routing: Routing; etag: string }> => {
    const found = await readRouting(store, policy);
    if (found !== null) return found;
    throw new InvalidInputError(
      'the policy has no champion: expected one that a training run has created',
      {
        context: { policy },
      },
    );
  };

  /** Moves the pointer to `champion`, unless it moved since `from` was read; the record is written first. */
  const move = async (
    policy: string,
    from: { routing: Routing; etag: string },
    champion: Digest,
    promotionId: string,
    record: PromotionRecord,
  ): Promise<RoutingOutcome> => {
    const generation = from.routing.generation + 1;
    await writePromotionRecord(store, policy, { generation, promotionId }, record, PromotionRecord);
    const next: Routing = {
      ...from.routing,
      generation,
      champion,
      candidate: null,
      basisPoints: 0,
      leaseUntil: null,
      previous: from.routing.champion,
      promotionId,
    };
    const swapped = await swapRouting(store, policy, from.etag, next);
    if (swapped.committed) {
      return { kind: 'moved', champion: championOf(next), previous: next.previous };
    }
    return { kind: 'stale', champion: championOf((swapped.current ?? from).routing) };
  };

  return {
    async registerChampion(rawInput) {
      const { policy, checkpoint } = parseActivityInput(
        RegisterChampionInput,
        rawInput,
        'registerChampion',
      );
      const routing: Routing = {
        formatVersion: 1,
        generation: 1,
        champion: checkpoint,
        candidate: null,
        basisPoints: 0,
        salt: policy,
        leaseUntil: null,
        previous: null,
        promotionId: null, // nobody approved it: there was nothing before it to be worse than
      };
      const created = await createRouting(store, policy, routing);
      // Lost to another run that created it first: its champion is the one, whatever we made.
      return created.committed ? championOf(routing) : championOf((await current(policy)).routing);
    },

    async openPromotion(rawInput) {
      const { policy, candidate } = parseActivityInput(
        OpenPromotionInput,
        rawInput,
        'openPromotion',
      );
      await current(policy);
      await readCheckpointManifest(store, candidate);
      return { searchAttributes: await hasSearchAttributes() };
    },

    async promote(rawInput) {
      const { policy, promotionId, approval } = parseActivityInput(
        PromoteInput,
        rawInput,
        'promote',
      );
      assertApproved(approval);
      const { candidate, champion } = approval.request;
      const found = await current(policy);
      const { routing } = found;
      if (routing.promotionId === promotionId && routing.champion === candidate) {
        return { kind: 'moved', champion: championOf(routing), previous: routing.previous }; // our own earlier attempt
      }
      // The approval was given against one champion: if it moved, the evidence is about something else.
      if (routing.champion !== champion.digest || routing.generation !== champion.generation) {
        return { kind: 'stale', champion: championOf(routing) };
      }
      return move(policy, found, candidate, promotionId, {
        kind: 'promoted',
        champion: candidate,
        previous: routing.champion,
        approval,
        at: new Date(now()).toISOString(),
      });
    },

    async rollback(rawInput) {
      const { policy, promotionId, generation, by, reason } = parseActivityInput(
        RollbackInput,
        rawInput,
        'rollback',
      );
      const rollbackId = `${promotionId}.rollback`;
      const found = await current(policy);
      const { routing } = found;
      if (routing.promotionId === rollbackId && routing.generation === generation + 1) {
        return { kind: 'moved', champion: championOf(routing), previous: routing.previous };
      }
      if (routing.generation !== generation || routing.previous === null) {
        return { kind: 'stale', champion: championOf(routing) };
      }
      return move(policy, found, routing.previous, rollbackId, {
        kind: 'rolled-back',
        champion: routing.previous,
        previous: routing.champion,
        by,
        reason,
        at: new Date(now()).toISOString(),
      });
    },
  };
}

function assertApproved(approval: ApprovalRecord): void {
  if (approval.decision === 'approve') return;
  throw new InvalidInputError(
    'a promotion needs an approval: expected decision approve, got reject',
    {
      context: { candidate: approval.request.candidate, by: approval.by },
    },
  );
}
