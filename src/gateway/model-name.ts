import type { Digest } from '../schemas/ids';
import { Digest as DigestSchema, DigestPrefix, Name, namesDigest } from '../schemas/ids';
import { RequestError } from './request-error';
import type { RoutingReader } from './routing-reader';
import type { SessionClaims } from './session-token';

/** `ratchet/<policy>`, or `ratchet/<policy>@<digest or its first 12 digits>` for exactly that checkpoint. */
const PATTERN = /^ratchet\/([^@]+)(?:@(.+))?$/;

export interface ResolvedModel {
  readonly policy: string;
  readonly checkpoint: Digest;
  /** Whether the request itself named the checkpoint, so that its absence is the client's error and not ours. */
  readonly isExplicit: boolean;
}

export function modelName(policy: string, checkpoint?: Digest): string {
  return checkpoint === undefined ? `ratchet/${policy}` : `ratchet/${policy}@${checkpoint}`;
}

/**
 * Which checkpoint answers. A session's pin wins over everything that the model name says about its policy. A full digest may name any
 * checkpoint; a prefix only the champion and the candidate, since it must be unique.
 *
 * @throws {RequestError} 404 naming the models that there are.
 */
export async function resolveModel(
  routing: RoutingReader,
  model: string,
  stickyUnit: string,
  pin: Pick<SessionClaims, 'policy' | 'checkpoint'> | null,
): Promise<ResolvedModel> {
  const [, policy = '', at] = PATTERN.exec(model) ?? [];
  if (pin !== null && pin.checkpoint !== null && pin.policy === policy) {
    return { policy, checkpoint: pin.checkpoint, isExplicit: false };
  }
  if (!Name.safeParse(policy).success) throw await unknownModel(routing, model, pin);
  if (at === undefined) {
    const checkpoint = await routing.resolve(policy, stickyUnit);
    if (checkpoint === null) throw await unknownModel(routing, model, pin);
    return { policy, checkpoint, isExplicit: false };
  }
  const named = await routing.named(policy);
  const digest = DigestSchema.safeParse(at);
  if (named.length > 0 && digest.success) {
    return { policy, checkpoint: digest.data, isExplicit: true };
  }
  const [checkpoint, ...others] = DigestPrefix.safeParse(at).success
    ? named.filter((candidate) => namesDigest(at, candidate))
    : [];
  if (checkpoint === undefined || others.length > 0) throw await unknownModel(routing, model, pin);
  return { policy, checkpoint, isExplicit: true };
}

/** The models that a caller may ask for by name. */
export async function knownModels(
  routing: RoutingReader,
  pin: Pick<SessionClaims, 'policy' | 'checkpoint'> | null,
): Promise<readonly string[]> {
  const policies = new Set(await routing.policies());
  // A policy that is rolled out for the first time has no champion yet.
  if (pin !== null && pin.policy !== null && pin.checkpoint !== null) policies.add(pin.policy);
  return [...policies].sort().map((policy) => modelName(policy));
}

export async function unknownModel(
  routing: RoutingReader,
  model: string,
  pin: Pick<SessionClaims, 'policy' | 'checkpoint'> | null,
): Promise<RequestError> {
  const known = await knownModels(routing, pin);
  const expected =
    known.length === 0
      ? 'there is none yet: no policy has a champion'
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
