import { MAX_DEPTH } from '../http/json-limits';
import { badRequest, type RequestError } from '../http/request-error';

/** How a field is read. Messages refer to theirs lazily: AnyValue holds itself. */
export type Field =
  | {
      readonly kind: 'string' | 'bool' | 'int64' | 'double' | 'fixed64' | 'enum' | 'hex' | 'base64';
    }
  | { readonly kind: 'message'; readonly of: () => Fields };
/** A message's fields by number; all others are skipped, as protobuf's readers do. */
export type Fields = ReadonlyMap<
  number,
  { readonly name: string; readonly isList: boolean; readonly field: Field }
>;

const [VARINT, FIXED64, LENGTH, FIXED32] = [0, 1, 2, 5];
const MAX_VARINT_BYTES = 10;

const WIRE_TYPES: Readonly<Record<Field['kind'], number>> = {
  ...{ string: LENGTH, hex: LENGTH, base64: LENGTH, message: LENGTH },
  ...{ bool: VARINT, int64: VARINT, enum: VARINT, double: FIXED64, fixed64: FIXED64 },
};

/**
 * Reads a message of protobuf as its JSON form: whole numbers of 64 bits as text, trace ids in hexadecimal digits.
 *
 * Why not protobufjs, which our models' files are read with: two bytes make a message, so a body of 16 MiB makes eight million objects there.
 * These are bodies of strangers: what may come of one is bounded, and so is its depth.
 *
 * @param maxParts messages and texts, as of JSON (json-limits.ts).
 * @throws {RequestError} 400
 */
export function decodeWire(
  bytes: Buffer,
  fields: Fields,
  maxParts: number,
): Record<string, unknown> {
  return new WireReader(bytes, maxParts).message(fields, bytes.length, MAX_DEPTH);
}

class WireReader {
  #at = 0;
  #parts: number;

  constructor(
    readonly bytes: Buffer,
    readonly maxParts: number,
  ) {
    this.#parts = maxParts;
  }

  message(fields: Fields, end: number, levels: number): Record<string, unknown> {
    if (levels === 0) throw malformed(`at most ${MAX_DEPTH} levels`);
    this.#count();
    const message: Record<string, unknown> = {};
    while (this.#at < end) {
      const tag = this.#number(end);
      const [number, wireType] = [Math.floor(tag / 8), tag % 8];
      if (number === 0) throw malformed('fields to have numbers');
      const known = fields.get(number);
      if (known === undefined) {
        this.#skip(wireType, end);
        continue;
      }
      const { name, isList, field } = known;
      if (wireType !== WIRE_TYPES[field.kind]) throw malformed('each field to be of its type');
      const value = this.#value(field, end, levels);
      if (!isList) message[name] = value;
      else if (Array.isArray(message[name])) message[name].push(value);
      else message[name] = [value];
    }
    return message;
  }

  #value(field: Field, end: number, levels: number): unknown {
    switch (field.kind) {
      case 'message': {
        const length = this.#length(end);
        return this.message(field.of(), this.#at + length, levels - 1);
      }
      case 'string':
        return this.#text('utf8', end);
      case 'hex':
      case 'base64':
        return this.#text(field.kind, end);
      case 'bool':
        return this.#varint(end) !== 0n;
      case 'int64':
        return BigInt.asIntN(64, this.#varint(end)).toString();
      case 'enum':
        return Number(BigInt.asIntN(32, this.#varint(end)));
      case 'double':
        return this.bytes.readDoubleLE(this.#take(8, end));
      case 'fixed64':
        return this.bytes.readBigUInt64LE(this.#take(8, end)).toString();
    }
  }

  #text(encoding: 'utf8' | 'hex' | 'base64', end: number): string {
    this.#count();
    const length = this.#length(end);
    const start = this.#take(length, end);
    return this.bytes.toString(encoding, start, start + length);
  }

  #length(end: number): number {
    const length = this.#number(end);
    if (length > end - this.#at) throw cut();
    return length;
  }

  /** @returns where the bytes begin. */
  #take(count: number, end: number): number {
    const start = this.#at;
    if (count > end - start) throw cut();
    this.#at += count;
    return start;
  }

  /** A tag or a length. Beyond 2^53 it is not exact, and beyond the end of any body. */
  #number(end: number): number {
    const byte = this.bytes[this.#at] ?? 0x80;
    if (byte >= 0x80 || this.#at >= end) return Number(this.#varint(end));
    this.#at++;
    return byte; // nearly all of them are one byte
  }

  #varint(end: number): bigint {
    let value = 0n;
    for (let i = 0; i < MAX_VARINT_BYTES; i++) {
      const byte = this.bytes[this.#take(1, end)] ?? 0;
      value |= BigInt(byte & 0x7f) << BigInt(7 * i);
      if (byte < 0x80) return value;
    }
    throw malformed(`numbers of at most ${MAX_VARINT_BYTES} bytes`);
  }

  #skip(wireType: number, end: number): void {
    if (wireType === VARINT) this.#varint(end);
    else if (wireType === FIXED64) this.#take(8, end);
    else if (wireType === LENGTH) this.#take(this.#length(end), end);
    else if (wireType === FIXED32) this.#take(4, end);
    else throw malformed('no groups'); // nobody writes them, and they nest without a bound
  }

  #count(): void {
    if (--this.#parts >= 0) return;
    throw badRequest(
      `the body has too many parts: expected at most ${this.maxParts} messages and strings`,
      'body_too_complex',
    );
  }
}

function cut(): RequestError {
  return malformed('all that its lengths announce');
}

function malformed(expected: string): RequestError {
  return badRequest(`the body is not valid protobuf: expected ${expected}`, 'invalid_protobuf');
}
