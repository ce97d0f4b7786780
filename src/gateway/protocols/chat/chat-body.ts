import { ChatRequest } from '../../../schemas/chat';
import { validate } from '../../http/json-body';
import type { Toolset, ToolsetInterner } from '../../toolset-interner';

// The tools were checked when they were interned: checking them again would cost more than the rest, and zod would copy them.
const WithoutTools = ChatRequest.omit({ tools: true });

export interface ChatBody {
  readonly request: ChatRequest;
  readonly toolset: Toolset | null;
}

/** @throws {RequestError} 400 for what is not a request that we can answer. */
export function parseChatBody(text: string, interner: ToolsetInterner): ChatBody {
  const { body, toolset } = interner.parse(text);
  const request: ChatRequest =
    toolset === null
      ? validate(ChatRequest, body)
      : { ...validate(WithoutTools, body), tools: toolset.tools };
  return { request, toolset };
}
