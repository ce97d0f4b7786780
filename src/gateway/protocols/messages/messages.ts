import { editJson } from '../../http/edit-json';
import { sseEvent } from '../../http/sse';
import type { Protocol } from '../protocol';
import { assertReadOnce } from '../read-once';
import { anthropicError } from './anthropic-error';
import { parseMessagesBody, readMessagesTools } from './messages-body';
import { createMessagesReader } from './messages-reader';
import { renderMessage, renderMessageEvents } from './render-message';

const READ_MEMBERS = ['model', 'system', 'messages', 'tools', 'tool_choice', 'stream', 'thread'];

/** Anthropic's Messages. Source: https://platform.claude.com/docs/en/api/messages */
export const messages: Protocol = {
  name: 'messages',
  path: '/messages',
  idPrefix: 'msg_',
  requestIdHeader: 'request-id',
  readTools: readMessagesTools,
  // Their client then sends the whole conversation by itself.
  notHeld: { status: 404, reason: 'thread_not_found' },

  parse(text, interner) {
    const { request, ...rest } = parseMessagesBody(text, interner);
    const { metadata } = request;
    return {
      text,
      request,
      ...rest,
      isStream: request.stream === true,
      conversationId: null,
      heldItemIds: [],
      sessionNames: [metadata?.['session_id'], metadata?.['user_id']],
    };
  },

  // Token ids are not asked for: no upstream gives them here. Usage comes unasked.
  forUpstream({ text, request }, { model }) {
    assertReadOnce(text, READ_MEMBERS);
    const to = JSON.stringify(model);
    return {
      body: model === request.model ? text : editJson(text, [{ path: ['model'], to }]),
      reader: createMessagesReader(),
    };
  },

  render: (_, answer) => renderMessage(answer),
  renderStream: (_, answer) => renderMessageEvents(answer),

  errorBody: anthropicError,
  errorEvent: (error, requestId) =>
    sseEvent(JSON.stringify(anthropicError(error, requestId)), 'error'),
};
