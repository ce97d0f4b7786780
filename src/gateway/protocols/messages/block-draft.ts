import { asObject, type JsonObject } from '../loose-json';

/** One content block of an answer while it comes. */
export interface BlockDraft {
  /** Adds a `content_block_delta`'s `delta`. */
  add(delta: JsonObject): void;
  block(): JsonObject;
}

/** @param start the block as it began. */
export function createBlockDraft(start: JsonObject): BlockDraft {
  const pieces = new Map<string, string[]>();
  const citations: unknown[] = [];
  return {
    add(delta) {
      for (const [name, value] of Object.entries(delta)) {
        if (name === 'citation') citations.push(value);
        if (name === 'type' || typeof value !== 'string') continue;
        const known = pieces.get(name);
        if (known === undefined) pieces.set(name, [value]);
        else known.push(value);
      }
    },
    block() {
      const block: Record<string, unknown> = { ...start };
      for (const [name, texts] of pieces) {
        const text = texts.join('');
        if (name === 'partial_json') block['input'] = toInput(text, start['input']);
        else block[name] = (typeof start[name] === 'string' ? start[name] : '') + text;
      }
      if (citations.length > 0) block['citations'] = citations;
      return block;
    },
  };
}

/** @returns the text itself if it is no object: the answer was cut within it. */
function toInput(text: string, start: unknown): unknown {
  if (text === '') return start;
  try {
    return asObject(JSON.parse(text)) ?? text;
  } catch {
    return text; // see above
  }
}
