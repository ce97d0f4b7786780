import type { Message } from '../../schemas/message';
import { resultText } from './conventions/content';
import type { Attributes, OtlpSpan } from './otlp-span';

/** Of each way in which spans tell of tools: what makes one, which call it fulfils, what came of it. */
const CONVENTIONS: readonly {
  readonly isTool: (attributes: Attributes) => boolean;
  readonly ids: readonly string[];
  readonly result: string;
}[] = [
  {
    isTool: (attributes) => attributes.get('gen_ai.operation.name') === 'execute_tool',
    ids: ['gen_ai.tool.call.id'],
    result: 'gen_ai.tool.call.result',
  },
  {
    isTool: (attributes) => attributes.get('openinference.span.kind') === 'TOOL',
    ids: ['tool_call.id', 'tool.id'],
    result: 'output.value',
  },
];

/** What tools answered, by the trace and the id of the call: from their own spans. */
export class ToolResults {
  readonly #texts = new Map<string, string>();

  /** Notes what a tool's span says; others say nothing of it. */
  add({ traceId, attributes }: OtlpSpan): void {
    const convention = CONVENTIONS.find(({ isTool }) => isTool(attributes));
    if (convention === undefined) return;
    const id = convention.ids.map((name) => attributes.get(name)).find((one) => Boolean(one));
    const result = attributes.get(convention.result);
    if (typeof id === 'string' && result !== undefined)
      this.#texts.set(`${traceId} ${id}`, resultText(result));
  }

  /** The messages, with the results that they lack: right behind those that they have. */
  complete(traceId: string, messages: readonly Message[]): readonly Message[] {
    if (this.#texts.size === 0) return messages;
    const answered = new Set(messages.map(({ tool_call_id: id }) => id));
    const completed: Message[] = [];
    let missing: Message[] = [];
    for (const message of messages) {
      if (message.role !== 'tool') completed.push(...missing.splice(0));
      completed.push(message);
      if (message.role !== 'assistant') continue;
      missing = (message.tool_calls ?? []).flatMap(({ id }): Message[] => {
        const content = this.#texts.get(`${traceId} ${id}`);
        if (content === undefined || answered.has(id)) return [];
        return [{ role: 'tool', content, tool_call_id: id }];
      });
    }
    return [...completed, ...missing];
  }
}
