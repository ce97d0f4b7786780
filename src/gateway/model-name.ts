import type { Digest } from '../schemas/ids';
import { Digest as DigestSchema, DigestPrefix, Name, namesDigest } from '../schemas/ids';
import { RequestError } from './http/request-error';
import type { RoutingReader } from './routing-reader';
import type { SessionClaims } from './keys/session-token';
import type { ModelTable, ModelTarget } from './upstreams/model-table';

/** `ratchet/<policy>`, or `ratchet/<policy>@<digest or its first 12 digits>` for exactly that checkpoint. */
const PATTERN = /^ratchet\/([^@]+)(?:@(.+))?$/;

/** Who answers: a policy of ours, or one of the upstreams that the configuration names for the model. */
export type ResolvedModel = ResolvedPolicy | ResolvedUpstream;

export interface ResolvedPolicy {
  readonly kind: 'policy';
  readonly policy: string;
  readonly checkpoint: Digest;
  /** Whether the request itself named the checkpoint, so that its absence is the client's error and not ours. */
  readonly isExplicit: boolean;
}

export interface ResolvedUpstream {
  readonly kind: 'upstream';
  readonly targets: readonly [ModelTarget, ...ModelTarget[]];
}

/** The model names that there are. */
export interface Models {
  readonly routing: RoutingReader;
  readonly upstreams: ModelTable;
}

export function modelName(policy: string, checkpoint?: Digest): string {
  return checkpoint === undefined ? `ratchet/${policy}` : `ratchet/${policy}@${checkpoint}`;
}

/**
 * Which checkpoint answers. An alias of the configuration stands for its policy's name. A session's pin wins over everything that the model name says about its policy. A full digest may name any
 * checkpoint; a prefix only the champion and the candidate, since it must be unique.
 *
 * @throws {RequestError} 404 naming the models that there are.
 */
export async function resolveModel(
  models: Models,
  model: string,
  stickyUnit: string,
  pin: Pick<SessionClaims, 'policy' | 'checkpoint'> | null,
): Promise<ResolvedModel> {
  const targets = models.upstreams.targets(model);
  if (targets !== null) return { kind: 'upstream', targets };
  const { routing } = models;
  const [, policy = '', at] = PATTERN.exec(nameOfAlias(models, model)) ?? [];
  if (pin !== null && pin.checkpoint !== null && pin.policy === policy) {
    return { kind: 'policy', policy, checkpoint: pin.checkpoint, isExplicit: false };
  }
  if (!Name.safeParse(policy).success) throw await unknownModel(models, model, pin);
  if (at === undefined) {
    const checkpoint = await routing.resolve(policy, stickyUnit);
    if (checkpoint === null) throw await unknownModel(models, model, pin);
    return { kind: 'policy', policy, checkpoint, isExplicit: false };
  }
  const named = await routing.named(policy);
  const digest = DigestSchema.safeParse(at);
  if (named.length > 0 && digest.success) {
    return { kind: 'policy', policy, checkpoint: digest.data, isExplicit: true };
  }
  const [checkpoint, ...others] = DigestPrefix.safeParse(at).success
    ? named.filter((candidate) => namesDigest(at, candidate))
    : [];
  if (checkpoint === undefined || others.length > 0) throw await unknownModel(models, model, pin);
  return { kind: 'policy', policy, checkpoint, isExplicit: true };
}

function nameOfAlias({ upstreams }: Models, model: string): string {
  const policy = upstreams.policy(model);
  return policy === null ? model : modelName(policy);
}

/** The models that a caller may ask for by name. */
export async function knownModels(
  { routing, upstreams }: Models,
  pin: Pick<SessionClaims, 'policy' | 'checkpoint'> | null,
): Promise<readonly string[]> {
  const policies = new Set(await routing.policies());
  // A policy that is rolled out for the first time has no champion yet.
  if (pin !== null && pin.policy !== null && pin.checkpoint !== null) policies.add(pin.policy);
  return [...[...policies].sort().map((policy) => modelName(policy)), ...upstreams.names];
}

export async function unknownModel(
  models: Models,
  model: string,
  pin: Pick<SessionClaims, 'policy' | 'checkpoint'> | null,
): Promise<RequestError> {
  const known = await knownModels(models, pin);
  const expected =
    known.length === 0
      ? 'there is none yet: no policy has a champion, and no upstream is configured'
      : `expected one of ${known.join(', ')}`;
  return new RequestError(
    `unknown model: ${expected}; got ${JSON.stringify(model.slice(0, 120))}`,
    {
      status: 404,
      reason: 'model_not_found',
      param: 'model',
    },
  );
}
