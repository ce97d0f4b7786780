import type { Message } from '../../schemas/message';

type Content = NonNullable<Message['content']>;
export type Part = Exclude<Content, string>[number];

/** The content of a message: one text that says nothing but itself is that text, however it was packed. */
export function toContent(parts: readonly Part[]): Content {
  const [first, ...others] = parts;
  const isText = first?.type === 'text' && typeof first['text'] === 'string';
  return isText && others.length === 0 && Object.keys(first).length === 2
    ? (first['text'] as string)
    : [...parts];
}

/** The parts of a content; a text is one. */
export function toParts(content: Content): readonly Part[] {
  return typeof content === 'string' ? [{ type: 'text', text: content }] : content;
}
