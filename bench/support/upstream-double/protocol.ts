import type { Trouble } from './trouble';

/** One way in which the double is spoken to. */
export interface DoubleProtocol {
  /** @throws {Refusal} for what its provider would refuse. */
  answer(body: unknown, call: CallContext): Promised;
}

export interface CallContext {
  /** Counts the double's answers, from 1: what ids are made of. */
  readonly serial: number;
  /** Seconds since 1970. */
  readonly createdAt: number;
  readonly header: (name: string) => string | undefined;
}

/** An answer, before any trouble is made of it. */
export interface Promised {
  readonly model: string;
  readonly content:
    | { readonly kind: 'json'; readonly body: object }
    /** Each event as text. */
    | { readonly kind: 'events'; readonly events: readonly string[] };
}

/** How it goes out. */
export interface Delivery {
  readonly trouble: Trouble | null;
  /** Between two pieces where the double is slow, in milliseconds. */
  readonly pauseMs: number;
}

export function event(data: object, name?: string): string {
  const line = name === undefined ? '' : `event: ${name}\n`;
  return `${line}data: ${JSON.stringify(data)}\n\n`;
}

export function idOf(prefix: string, serial: number, part?: number): string {
  const id = `${prefix}double${String(serial).padStart(8, '0')}`;
  return part === undefined ? id : `${id}x${part}`;
}
