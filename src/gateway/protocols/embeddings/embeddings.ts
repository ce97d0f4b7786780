import { z } from 'zod';
import { editJson } from '../../http/edit-json';
import { parseJson, validate } from '../../http/json-body';
import { sseEvent } from '../../http/sse';
import { parseAnswer, tokenCounts, asObject } from '../loose-json';
import { notOfProtocol } from '../not-of-protocol';
import type { AnswerReader, Protocol, UpstreamAnswer } from '../protocol';
import { assertReadOnce } from '../read-once';

const EmbeddingsRequest = z.looseObject({ model: z.string().min(1), user: z.string().nullish() });

/**
 * OpenAI's embeddings. Request and answer pass as they are: clients that ask for base64, as OpenAI's do by default, read only that. Nothing is
 * said and nothing is decided, so there is no decision: what is recorded of a call is what it used (LiveUse), and none of its texts.
 * Source: https://platform.openai.com/docs/api-reference/embeddings
 */
export const embeddings: Protocol = {
  name: 'embeddings',
  path: '/embeddings',
  idPrefix: 'chatcmpl-',

  parse(text) {
    const { model, user } = validate(EmbeddingsRequest, parseJson(text));
    return {
      ...{ text, request: { model, user, messages: [] }, toolset: null, isStream: false },
      ...{ sessionNames: [user], previousId: null, conversationId: null, heldItemIds: [] },
    };
  },

  forUpstream({ text, request }, { model }) {
    assertReadOnce(text, ['model', 'user']);
    const to = JSON.stringify(model);
    return {
      body: model === request.model ? text : editJson(text, [{ path: ['model'], to }]),
      reader: createEmbeddingsReader(),
    };
  },

  errorBody: ({ body }) => body,
  errorEvent: ({ body }) => sseEvent(JSON.stringify(body)),
};

function createEmbeddingsReader(): AnswerReader {
  let answer: UpstreamAnswer | null = null;
  return {
    whole(text) {
      const { data, usage } = parseAnswer(text);
      if (!Array.isArray(data)) throw notOfProtocol('a list of embeddings');
      // All tokens are the prompt's.
      const counts = { completion_tokens: 0, ...asObject(usage) };
      answer = {
        ...{ responseId: null, outputs: [], finishReason: null, tokens: null },
        usage: tokenCounts(counts, 'prompt_tokens', 'completion_tokens'),
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
