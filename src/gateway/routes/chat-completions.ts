import { describeError } from '../../errors';
import type { Principal } from '../auth';
import { parseChatBody } from '../chat-body';
import type { ChatBody } from '../chat-body';
import type { GatewayCounters } from '../counters';
import { toErrorAnswer } from '../error-response';
import type { Caller, ModelCall, ModelCallDeps } from '../model-call';
import { callModel } from '../model-call';
import { modelName } from '../model-name';
import { readBody } from '../read-body';
import type { Recorder } from '../recorder';
import { forbidden } from '../request-error';
import type { Answer, GatewayContext, Handler, LogEntry } from '../route';
import { headerOf } from '../route';
import { liveSessionId, liveSessionName, SESSION_HEADER } from '../session-id';
import { ToolsetInterner } from '../toolset-interner';

export interface ChatCompletionsDeps extends ModelCallDeps {
  readonly recorder: Recorder;
  readonly bodyLimitBytes: number;
  readonly counters: GatewayCounters;
  readonly log: (entry: LogEntry) => void;
}

/** The header that says that a live call was answered but not recorded. */
const RECORDED_HEADER = 'x-ratchet-recorded';

/**
 * `POST /v1/chat/completions`, as OpenAI's. The answer is sent once its decision is recorded. Where that fails, live traffic is answered
 * all the same (an agent that people use must not fall over because its training data does) and told so; a rollout is refused with 503,
 * since a trajectory with a hole would teach something wrong.
 */
export function chatCompletions(deps: ChatCompletionsDeps): Handler<Principal> {
  const interner = new ToolsetInterner();

  return async (c, { principal, requestId }) => {
    if (principal.kind === 'session') {
      const { claims } = principal;
      const { session, agent } = claims;
      const answered = deps.recorder.begin(session);
      try {
        const chat = parseChatBody(await readBody(c, deps.bodyLimitBytes), interner);
        const call = await callModel(deps, { agent, session, claims }, chat);
        if (call.recorded !== null) await deps.recorder.record(call.recorded);
        return completion(call);
      } catch (error) {
        const { status } = toErrorAnswer(error, requestId);
        deps.recorder.recordFailure({ session, agent, status, detail: describeError(error) });
        throw error;
      } finally {
        answered();
      }
    }
    const chat = parseChatBody(await readBody(c, deps.bodyLimitBytes), interner);
    const { caller, name } = liveCaller(c, principal, chat);
    const call = await callModel(deps, caller, chat);
    const isRecorded = await recordIfPossible(call, requestId);
    return completion(call, {
      // A name from the body is free text, which a header cannot always hold; the client knows it anyway.
      ...(/^[\x21-\x7e]+$/.test(name) ? { [SESSION_HEADER]: name } : {}),
      ...(isRecorded ? {} : { [RECORDED_HEADER]: 'false' }),
    });
  };

  async function recordIfPossible({ recorded }: ModelCall, requestId: string): Promise<boolean> {
    if (recorded === null) return true;
    try {
      await deps.recorder.record(recorded);
      return true;
    } catch (error) {
      // Fail open, and say so: in the answer, the counter and the log.
      deps.counters.unrecorded++;
      const message = 'a live call was answered but not recorded';
      deps.log({ level: 'warn', message, requestId, error: describeError(error) });
      return false;
    }
  }
}

function liveCaller(
  c: GatewayContext,
  principal: Extract<Principal, { kind: 'key' }>,
  { request }: ChatBody,
): { readonly caller: Caller; readonly name: string } {
  const { agent } = principal.record;
  if (agent === null) throw forbidden('model calls belong to an agent: use a key of role agent');
  const name = liveSessionName(headerOf(c, SESSION_HEADER), request);
  return { caller: { agent, session: liveSessionId(agent, name), claims: null }, name };
}

function completion(
  { id, model, answer, atMs }: ModelCall,
  headers: Readonly<Record<string, string>> = {},
): Answer {
  const { promptTokens, completionTokens } = answer.usage;
  return {
    headers,
    body: {
      id,
      object: 'chat.completion',
      created: Math.floor(atMs / 1_000),
      model: modelName(model.policy, model.checkpoint),
      choices: [
        {
          index: 0,
          message: { content: null, refusal: null, ...answer.message },
          logprobs: null,
          finish_reason: answer.finishReason,
        },
      ],
      usage: {
        prompt_tokens: promptTokens,
        completion_tokens: completionTokens,
        total_tokens: promptTokens + completionTokens,
      },
    },
  };
}
