import { createHmac } from 'node:crypto';
import { IntegrityError, NotFoundError } from '../errors';
import type { PolicyAnswer, PolicyServer, ServedPolicy } from '../policies/policy-server';
import { isForward } from '../policies/policy-server';
import type { RequestPatch } from '../schemas/arm';
import type { Decision, SampledArm, Sampling } from '../schemas/decision';
import type { ProtocolName } from '../schemas/gateway-config';
import type { Digest } from '../schemas/ids';
import type { LiveUse } from '../schemas/live-line';
import type { Message } from '../schemas/message';
import { drawOf, samplingOf, turnOf } from './draw';
import { messageId } from './recording/message-id';
import type { Models, ResolvedPolicy } from './model-name';
import { unknownModel } from './model-name';
import type { ProtocolCall, UpstreamAnswer } from './protocols/protocol';
import type { RecordedCall } from './recording/recorder';
import { randomCall } from './keys/random-call';
import { CALL_BYTES, createResponseId, type ResponseIdPrefix } from './keys/response-id';
import type { SessionClaims } from './keys/session-token';
import type { ModelTarget } from './upstreams/model-table';
import { costMicros } from './upstreams/cost';

export interface ModelCallDeps {
  readonly policies: PolicyServer;
  readonly models: Models;
  readonly signingKey: Uint8Array;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** In whose name a call is made. */
export interface Caller {
  readonly agent: string;
  /** The id under which the session is stored. */
  readonly session: string;
  /** Whether the client named it: else each of its calls is a session of its own. */
  readonly isNamed: boolean;
  /** null for live traffic. */
  readonly claims: SessionClaims | null;
  /** Who uses the agent, as the request names them. */
  readonly user?: string;
}

export interface ModelCall {
  readonly id: string;
  readonly answer: PolicyAnswer;
  /** null when nothing was decided: there is nothing to learn from the call. */
  readonly recorded: RecordedCall | null;
  readonly atMs: number;
}

/** A policy chose who answers. It becomes a decision once they have. */
export interface ForwardedCall {
  readonly patch: RequestPatch;
  readonly choice: PolicyChoiceOf;
}

/** What the decision of a forwarded call says of the policy that forwarded it. */
export interface PolicyChoiceOf {
  readonly policy: string;
  readonly checkpoint: Digest;
  readonly sampled: SampledArm;
  readonly sampling: Sampling;
}

export interface ModelCallOptions {
  /** Of the answer's id. */
  readonly prefix: ResponseIdPrefix;
  /** Which upstreams the policy may have answer. */
  readonly forwards: (patch: RequestPatch) => boolean;
}

/**
 * Lets a policy answer one request, and describes the decision that it took; or lets it choose an upstream to answer. Writes nothing.
 *
 */
export async function callModel(
  deps: ModelCallDeps,
  caller: Caller,
  call: ProtocolCall,
  model: ResolvedPolicy,
  { prefix, forwards }: ModelCallOptions,
): Promise<ModelCall | ForwardedCall> {
  const { request, toolset } = call;
  const { signingKey } = deps;
  const served = await serve(deps, caller, request.model, model);
  const sampling = samplingOf(caller.claims, {
    temperature: served.temperature ?? request.temperature,
  });
  const turn = turnOf(request);

  const startedAt = performance.now();
  // A session's draw wins over a seed that the agent names, as its temperature does: else all rollouts of a task would be one.
  const isDrawn = (caller.claims?.draw ?? null) !== null;
  const asked = isDrawn ? { ...request, seed: null } : request;
  const answer = await served.answer(asked, sampling, drawOf(caller.claims, turn), forwards);
  if (isForward(answer)) {
    const { policy } = model;
    const { sampled } = answer;
    return {
      patch: answer.patch,
      choice: { policy, checkpoint: served.checkpoint, sampled, sampling },
    };
  }
  const latencyMs = performance.now() - startedAt;
  const atMs = deps.now();

  const { context, messages } = contextOf(call);
  const identity = [caller.session, turn, context, toolset?.id, request.tool_choice];
  const seed =
    caller.claims === null || caller.claims.draw === null
      ? randomCall()
      : hashOf(signingKey, [...identity, model.checkpoint, sampling.temperature]);
  const { sampled } = answer;
  const isDecision = sampled !== null;
  const id = createResponseId(signingKey, { ...caller, isDecision, call: seed, prefix });
  if (sampled === null) return { id, answer, recorded: null, atMs };

  const decision: Decision = {
    ...{ id, policy: model.policy, checkpoint: served.checkpoint, context, sampling, sampled },
    // Only an order: recorders and readers, who see all calls of a session, number them.
    sequence: turn + 1,
    toolset: toolset?.id ?? null,
    output: addMessage(messages, answer.message),
    usage: answer.usage,
    latencyMs,
    at: new Date(atMs).toISOString(),
  };
  const tools = toolset?.tools ?? null;
  return { id, answer, recorded: { ...whose(caller), decision, messages, tools }, atMs };
}

/**
 * The decision that an upstream's answer is. Its id is always new: asked again, an upstream answers something else.
 *
 * @param call as the agent made it: what a policy's arm changed of it is known by the arm's name.
 * @param choice of the policy that had the upstream asked; null where the agent itself did.
 */
export function describeUpstreamCall(
  { signingKey, now }: Pick<ModelCallDeps, 'signingKey' | 'now'>,
  caller: Caller,
  call: ProtocolCall,
  { upstream, model, price }: ModelTarget,
  answer: UpstreamAnswer & { readonly outputs: readonly [Message, ...Message[]] },
  { latencyMs, choice }: { readonly latencyMs: number; readonly choice: PolicyChoiceOf | null },
): RecordedCall {
  const { agent, session, claims } = caller;
  const { request, toolset, previousId, conversationId } = call;
  const { context, messages } = contextOf(call);
  const [output, ...others] = answer.outputs;
  const alternatives = others.map((message) => addMessage(messages, message));
  const { finishReason, tokens, responseId, itemIds, usage } = answer;
  const decision: Decision = {
    id: createResponseId(signingKey, {
      ...{ agent, session, isDecision: true, call: randomCall() },
    }),
    sequence: turnOf(request) + 1,
    ...{ context, usage, latencyMs },
    ...(price === null || usage === null ? {} : { costMicros: costMicros(price, usage) }),
    toolset: toolset?.id ?? null,
    output: addMessage(messages, output),
    ...(alternatives.length === 0 ? {} : { alternatives }),
    upstream: {
      ...{ name: upstream.name, model, responseId },
      ...(itemIds === undefined ? {} : { itemIds: [...itemIds] }),
      ...(previousId === null ? {} : { previousId }),
      ...(conversationId === null ? {} : { conversationId }),
    },
    ...(choice ?? {
      ...{ policy: null, checkpoint: null },
      sampled: { kind: 'text', finishReason, tokens },
      sampling: samplingOf(claims, request),
    }),
    at: new Date(now()).toISOString(),
  };
  return { ...whose(caller), decision, messages, tools: toolset?.tools ?? null };
}

/** What a call used in which an upstream said nothing, and nothing was decided. @param id the request's. */
export function describeUse(
  id: string,
  protocol: ProtocolName,
  caller: Caller,
  { request }: ProtocolCall,
  { upstream, model, price }: ModelTarget,
  { usage }: UpstreamAnswer,
  { latencyMs, atMs }: { readonly latencyMs: number; readonly atMs: number },
): LiveUse {
  return {
    ...{ id, ...whose(caller), protocol, model: request.model, usage, latencyMs },
    upstream: { name: upstream.name, model },
    ...(price === null || usage === null ? {} : { costMicros: costMicros(price, usage) }),
    at: new Date(atMs).toISOString(),
  };
}

function whose({ agent, session, user }: Caller): Pick<RecordedCall, 'agent' | 'session' | 'user'> {
  return { agent, session, ...(user === undefined ? {} : { user }) };
}

/** The request's messages by their ids, and the ids in order. */
function contextOf({ request }: ProtocolCall): {
  readonly context: string[];
  readonly messages: Map<string, Message>;
} {
  const messages = new Map<string, Message>();
  return { messages, context: request.messages.map((message) => addMessage(messages, message)) };
}

function addMessage(messages: Map<string, Message>, message: Message): string {
  const id = messageId(message);
  messages.set(id, message);
  return id;
}

/** A checkpoint that the client named and nobody has is its error; one that we chose is ours. */
async function serve(
  { policies, models }: ModelCallDeps,
  { claims }: Caller,
  asked: string,
  { checkpoint, isExplicit }: ResolvedPolicy,
): Promise<ServedPolicy> {
  try {
    return await policies.serve(checkpoint);
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error;
    if (isExplicit) throw await unknownModel(models, asked, claims);
    throw new IntegrityError('a checkpoint that a policy is routed to is missing', {
      context: { checkpoint },
      cause: error,
    });
  }
}

/** What was asked, as 16 bytes: the same for a client's retry of the same request. Keyed, so that nobody can try out what was asked. */
function hashOf(key: Uint8Array, asked: readonly unknown[]): Uint8Array {
  return createHmac('sha256', key).update(JSON.stringify(asked)).digest().subarray(0, CALL_BYTES);
}
