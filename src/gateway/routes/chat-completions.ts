import { describeError } from '../../errors';
import type { LiveIntent } from '../../schemas/live-line';
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
 * `POST /v1/chat/completions`, as OpenAI's. A policy is asked once it is recorded that the call came in (where the recorder keeps intents),
 * and the answer is sent once its decision is. Where that fails, live traffic is answered all the same (an agent that people use must not
 * fall over because its training data does) and told so; a rollout is refused with 503, since a trajectory with a hole would teach
 * something wrong.
 */
export function chatCompletions(deps: ChatCompletionsDeps): Handler<Principal> {
  const interner = new ToolsetInterner();
  const { intents } = deps.recorder;

  return async (c, { principal, requestId }) => {
    if (principal.kind === 'session') {
      const { claims } = principal;
      const { session, agent } = claims;
      const answered = deps.recorder.begin(session);
      let isAnswer = false;
      try {
        const chat = parseChatBody(await readBody(c, deps.bodyLimitBytes), interner);
        const caller = { agent, session, claims };
        if (intents !== undefined) {
          return completion((await recordedCall(caller, chat, requestId, orFail)).call);
        }
        const call = await callModel(deps, caller, chat);
        if (call.recorded !== null) await deps.recorder.record(call.recorded);
        isAnswer = true;
        return completion(call);
      } catch (error) {
        const { status } = toErrorAnswer(error, requestId);
        deps.recorder.recordFailure({ session, agent, status, detail: describeError(error) });
        throw error;
      } finally {
        answered(isAnswer);
      }
    }
    const chat = parseChatBody(await readBody(c, deps.bodyLimitBytes), interner);
    const { caller, name } = liveCaller(c, principal, chat);
    const { call, isRecorded } = await recordedCall(caller, chat, requestId, orWarn);
    return completion(call, {
      // A name from the body is free text, which a header cannot always hold; the client knows it anyway.
      ...(/^[\x21-\x7e]+$/.test(name) ? { [SESSION_HEADER]: name } : {}),
      ...(isRecorded ? {} : { [RECORDED_HEADER]: 'false' }),
    });
  };

  /**
   * Intent, answer, decision. A call whose intent could not be recorded is not recorded at all.
   *
   * @param settle waits for what is being recorded: false if it failed and the call goes on.
   */
  async function recordedCall(
    caller: Caller,
    chat: ChatBody,
    requestId: string,
    settle: (recording: Promise<void>, requestId: string) => Promise<boolean>,
  ): Promise<{ readonly call: ModelCall; readonly isRecorded: boolean }> {
    const isIntended =
      intents === undefined ||
      (await settle(intents.open(intentOf(caller, chat, requestId)), requestId));
    let isDecided = false;
    let status = 200;
    try {
      const call = await callModel(deps, caller, chat);
      if (call.recorded === null) return { call, isRecorded: isIntended };
      const recorded =
        intents === undefined ? call.recorded : { ...call.recorded, intent: requestId };
      isDecided = isIntended && (await settle(deps.recorder.record(recorded), requestId));
      return { call, isRecorded: isDecided };
    } catch (error) {
      ({ status } = toErrorAnswer(error, requestId));
      throw error;
    } finally {
      if (isIntended && !isDecided) intents?.close(requestId, status);
    }
  }

  async function orFail(recording: Promise<void>): Promise<boolean> {
    await recording;
    return true;
  }

  async function orWarn(recording: Promise<void>, requestId: string): Promise<boolean> {
    try {
      return await orFail(recording);
    } catch (error) {
      // Fail open, and say so: in the answer, the counter and the log.
      deps.counters.unrecorded++;
      const message = 'a live call was answered but not recorded';
      deps.log({ level: 'warn', message, requestId, error: describeError(error) });
      return false;
    }
  }

  function intentOf({ session, agent }: Caller, { request }: ChatBody, id: string): LiveIntent {
    return { id, session, agent, model: request.model, at: new Date(deps.now()).toISOString() };
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
