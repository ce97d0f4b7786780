import { z } from 'zod';
import { IntegrityError } from '../../errors';
import type { SpoolEntry } from '../../gateway/recording/spool';
import type { Frame } from './frames';
import { encodeFrame } from './frames';

/** What a file says first. */
export const FileHead = z.strictObject({
  formatVersion: z.literal(1),
  name: z.string(),
  /**
   * The file before it, and where that one ends: what is behind was never durable. Written with the first group, so whatever is known
   * of a file's end survives with its successor. null for the first file of a folder.
   */
  previous: z.strictObject({ number: z.int(), sizeBytes: z.int() }).nullable(),
});
export type FileHead = z.infer<typeof FileHead>;

export function logName(number: number): string {
  return `${String(number).padStart(8, '0')}.log`;
}

/** null if it is not the name of a log. */
export function logNumber(name: string): number | null {
  const digits = /^(\d{8})\.log$/.exec(name)?.[1];
  return digits === undefined ? null : Number(digits);
}

/** The first record of a file. */
export function encodeHead(head: FileHead): Buffer {
  return encodeFrame('file', JSON.stringify(head));
}

export interface DecodedEntry {
  readonly opens: string | null;
  readonly closes: string | null;
  readonly text: string;
}

/** `<opens>\n<closes>\n<text>`; an empty line is none. */
export function encodeEntry({ opens = '', closes = '', text }: SpoolEntry): Buffer {
  return encodeFrame('entry', `${opens}\n${closes}\n${text}`);
}

/** `<id>\n<text>` */
export function encodePart(id: string, text: string): Buffer {
  return encodeFrame('part', `${id}\n${text}`);
}

export interface DecodedLog {
  readonly head: FileHead | null;
  readonly parts: Map<string, string>;
  readonly entries: DecodedEntry[];
}

/** @throws {IntegrityError} if the file was written by a later version: a checksum that fits leaves no other reason. */
export function decodeLog(frames: readonly Frame[], name: string): DecodedLog {
  const log: DecodedLog = { head: null, parts: new Map(), entries: [] };
  let head: FileHead | null = null;
  for (const { kind, payload } of frames) {
    const text = payload.toString('utf8');
    switch (kind) {
      case 'file':
        head = parseHead(text, name);
        break;
      case 'part': {
        const end = text.indexOf('\n');
        log.parts.set(text.slice(0, end), text.slice(end + 1));
        break;
      }
      case 'entry': {
        const first = text.indexOf('\n');
        const second = text.indexOf('\n', first + 1);
        log.entries.push({
          opens: text.slice(0, first) || null,
          closes: text.slice(first + 1, second) || null,
          text: text.slice(second + 1),
        });
        break;
      }
    }
  }
  return { ...log, head };
}

function parseHead(text: string, name: string): FileHead {
  const head = FileHead.safeParse(JSON.parse(text));
  if (head.success) return head.data;
  throw new IntegrityError(
    `a spool file is of another version: expected formatVersion 1, got ${text.slice(0, 80)}; drain it with the version of Ratchet that wrote it`,
    { context: { name } },
  );
}
