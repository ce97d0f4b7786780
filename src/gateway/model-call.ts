import { createHash, randomBytes } from 'node:crypto';
import { IntegrityError, NotFoundError } from '../errors';
import type { PolicyAnswer, PolicyServer, ServedPolicy } from '../policies/policy-server';
import type { Decision } from '../schemas/decision';
import type { Message } from '../schemas/message';
import type { ChatBody } from './chat-body';
import { drawOf, samplingOf, turnOf } from './draw';
import { messageId } from './message-id';
import type { ResolvedModel } from './model-name';
import { resolveModel, unknownModel } from './model-name';
import type { RecordedCall } from './recorder';
import { CALL_BYTES, createResponseId } from './response-id';
import type { RoutingReader } from './routing-reader';
import type { SessionClaims } from './session-token';

export interface ModelCallDeps {
  readonly policies: PolicyServer;
  readonly routing: RoutingReader;
  readonly signingKey: Uint8Array;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** In whose name a call is made. */
export interface Caller {
  readonly agent: string;
  /** The id under which the session is stored. */
  readonly session: string;
  /** null for live traffic. */
  readonly claims: SessionClaims | null;
}

export interface ModelCall {
  readonly id: string;
  readonly model: ResolvedModel;
  readonly answer: PolicyAnswer;
  /** null when nothing was decided: there is nothing to learn from the call. */
  readonly recorded: RecordedCall | null;
  readonly atMs: number;
}

/** Lets a policy answer one chat request, and describes the decision that it took. Writes nothing. */
export async function callModel(
  deps: ModelCallDeps,
  caller: Caller,
  { request, toolset }: ChatBody,
): Promise<ModelCall> {
  const model = await resolveModel(deps.routing, request.model, caller.session, caller.claims);
  const served = await serve(deps, caller, request.model, model);
  const sampling = samplingOf(caller.claims, request);
  const turn = turnOf(request);

  const startedAt = performance.now();
  const answer = await served.answer(request, sampling, drawOf(caller.claims, turn));
  const latencyMs = performance.now() - startedAt;
  const atMs = deps.now();

  const messages = new Map<string, Message>();
  const context = request.messages.map((message) => {
    const id = messageId(message);
    messages.set(id, message);
    return id;
  });
  const output = messageId(answer.message);
  messages.set(output, answer.message);

  const isDecision = answer.sampled !== null;
  const asked = [caller.session, turn, context, toolset?.id, request.tool_choice];
  const call =
    caller.claims === null || caller.claims.draw === null
      ? randomBytes(CALL_BYTES)
      : hashOf([...asked, model.checkpoint, sampling.temperature]);
  const id = createResponseId(deps.signingKey, { ...caller, isDecision, call });
  if (answer.sampled === null) return { id, model, answer, recorded: null, atMs };

  const decision: Decision = {
    ...{ id, policy: model.policy, checkpoint: served.checkpoint, context, output, sampling },
    // Only an order: recorders and readers, who see all calls of a session, number them.
    sequence: turn + 1,
    toolset: toolset?.id ?? null,
    sampled: answer.sampled,
    usage: answer.usage,
    latencyMs,
    at: new Date(atMs).toISOString(),
  };
  const { agent, session } = caller;
  const tools = toolset?.tools ?? null;
  return { id, model, answer, recorded: { agent, session, decision, messages, tools }, atMs };
}

/** A checkpoint that the client named and nobody has is its error; one that we chose is ours. */
async function serve(
  { policies, routing }: ModelCallDeps,
  { claims }: Caller,
  asked: string,
  { checkpoint, isExplicit }: ResolvedModel,
): Promise<ServedPolicy> {
  try {
    return await policies.serve(checkpoint);
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error;
    if (isExplicit) throw await unknownModel(routing, asked, claims);
    throw new IntegrityError('a checkpoint that a policy is routed to is missing', {
      context: { checkpoint },
      cause: error,
    });
  }
}

/** What was asked, as 16 bytes: the same for a client's retry of the same request. */
function hashOf(asked: readonly unknown[]): Uint8Array {
  return createHash('sha256').update(JSON.stringify(asked)).digest().subarray(0, CALL_BYTES);
}
