import { editJson } from '../../http/edit-json';
import { sseEvent } from '../../http/sse';
import type { Protocol } from '../protocol';
import { assertReadOnce } from '../read-once';
import { renderResponse, renderResponseEvents } from './render-response';
import { parseResponsesBody, readResponsesTools } from './responses-body';
import { createResponsesReader } from './responses-reader';

const READ_MEMBERS = [
  ...['model', 'input', 'instructions', 'tools', 'tool_choice', 'stream', 'background'],
  ...['previous_response_id', 'conversation'],
];

/** OpenAI's Responses. Source: https://platform.openai.com/docs/api-reference/responses */
export const responses: Protocol = {
  name: 'responses',
  path: '/responses',
  idPrefix: 'resp_',
  readTools: readResponsesTools,
  notHeld: { status: 400, reason: 'previous_response_not_found' },

  parse(text, interner) {
    const { request, ...rest } = parseResponsesBody(text, interner);
    const { metadata, safety_identifier: safetyIdentifier, user } = request;
    return {
      text,
      request,
      ...rest,
      isStream: request.stream === true,
      sessionNames: [metadata?.['session_id'], rest.conversationId, safetyIdentifier, user],
    };
  },

  // Token ids are not asked for: no upstream gives them here. Usage comes unasked.
  forUpstream({ text, request }, { model }) {
    assertReadOnce(text, READ_MEMBERS);
    const to = JSON.stringify(model);
    return {
      body: model === request.model ? text : editJson(text, [{ path: ['model'], to }]),
      reader: createResponsesReader(),
    };
  },

  render: ({ request }, answer) => renderResponse(request, answer),
  renderStream: ({ request }, answer) => renderResponseEvents(request, answer),

  errorBody: ({ body }) => body,

  // Clients read it flat, as the reference says, or nested, as servers send it.
  errorEvent({ body: { error } }) {
    const { code, message, param } = error;
    const event = { type: 'error', code, message, param, sequence_number: 0, error };
    return sseEvent(JSON.stringify(event), 'error');
  },
};
