import { isCount, parseAnswer } from '../loose-json';
import { notOfProtocol } from '../not-of-protocol';
import type { AnswerReader, Protocol, UpstreamAnswer } from '../protocol';
import { messages } from './messages';

/**
 * How many tokens a call of Messages would have, which clients ask before they make it. Only who runs the model can say, so it goes to the upstream
 * that would answer the call; a policy counts none. Nothing is said and nothing is decided: it is recorded as a call that used nothing.
 * Source: https://platform.claude.com/docs/en/api/messages-count-tokens
 */
export const countTokens: Protocol = {
  name: messages.name,
  path: '/messages/count_tokens',
  idPrefix: messages.idPrefix,
  requestIdHeader: 'request-id',

  parse: (text, interner) => ({ ...messages.parse(text, interner), isStream: false }),

  forUpstream: (call, options) => ({
    body: messages.forUpstream(call, options).body,
    reader: createCountReader(),
  }),

  errorBody: (error, requestId) => messages.errorBody(error, requestId),
  errorEvent: (error, requestId) => messages.errorEvent(error, requestId),
};

function createCountReader(): AnswerReader {
  let answer: UpstreamAnswer | null = null;
  return {
    whole(text) {
      if (!isCount(parseAnswer(text)['input_tokens'])) throw notOfProtocol('a count of tokens');
      answer = {
        responseId: null,
        outputs: [],
        finishReason: null,
        tokens: null,
        usage: { promptTokens: 0, completionTokens: 0 },
      };
      return text;
    },
    event() {
      throw notOfProtocol('an answer that is not streamed');
    },
    answer: () => answer,
    hasFailed: () => false,
  };
}
