/**
 * The one port through which anything durable is written. Everything else in this folder is built on these six methods.
 *
 * What a store promises (test/contract/object-store.contract.ts holds every adapter to it):
 * - **Atomic visibility.** A reader sees no object, or one whole version of it: never part of one, never a mix.
 * - **Durable before answered.** When `put` or `delete` has answered, a crash of any process or of the machine does not undo it.
 *   While it has not, a crash leaves the old version or the new one.
 * - **Mutual exclusion.** Of concurrent conditional puts against the same version exactly one commits, across processes.
 * - **Read after write.** What was committed before a call began is seen by `get`, `head` and `list` of every process.
 *
 * What it does not promise: an order between different keys after a power failure, other than that what was answered stays. A
 * protocol that needs one (data, then manifest, then pointer) awaits each put before it starts the next. Nor, on S3,
 * that a swap notices a change and a change back while it runs: S3 compares contents, so if others replace the version that `ifMatch` names
 * and then write its very bytes again, all between the moment we look and the moment S3 does, the swap commits. What is swapped should
 * therefore hold something that never comes back, as routing.json its generation; then there is no such case.
 */

/** Opaque. Differs between any two versions of a key; equal etags mean equal bytes. Compare for equality only. */
export type Etag = string;

export interface ObjectHead {
  readonly etag: Etag;
  readonly sizeBytes: number;
}

export interface StoredObject {
  readonly bytes: Uint8Array;
  readonly etag: Etag;
}

/** Without an etag: a listing of S3 tells nothing of a version but its content. Whoever needs one calls `head`. */
export interface ObjectEntry {
  readonly key: string;
  readonly sizeBytes: number;
}

/** A lost condition is an outcome, not an error: the caller reads `current` and decides. `current` is null if the key is absent. */
export type PutOutcome =
  | { readonly committed: true; readonly etag: Etag }
  | { readonly committed: false; readonly current: Etag | null };

/** Bytes, or chunks of any size (a Node `Readable` is one). An iterable that throws aborts the put: nothing becomes visible. */
export type Body = Uint8Array | AsyncIterable<Uint8Array>;

export type PutCondition =
  | { readonly ifAbsent?: true; readonly ifMatch?: never }
  | { readonly ifMatch?: Etag; readonly ifAbsent?: never };

export type PutOptions = PutCondition & {
  /** 64 hexadecimal digits. The body is checked against it before it becomes visible. */
  readonly sha256?: string;
};

/** Bytes `start` (inclusive) to `end` (exclusive; the end of the object if left out or beyond it). */
export interface ByteRange {
  readonly start: number;
  readonly end?: number;
}

export interface ListOptions {
  /** Only keys after this one; the cursor of the next page is the last key of this one. */
  readonly after?: string;
  /** At most so many entries. */
  readonly limit?: number;
}

/** Keys are as `assertKey` in keys.ts demands; anything else is an `InvalidInputError` from every method. */
export interface ObjectStore {
  /**
   * The whole object. `bytes` starts at offset 0 of its own buffer, so that typed-array views on it are aligned.
   *
   * @throws {NotFoundError} if the key is absent.
   */
  get(key: string): Promise<StoredObject>;

  /**
   * The object, or a range of it, in chunks of one version even if it is replaced meanwhile. Nothing is opened before the first
   * chunk is asked for, and breaking out of the loop closes it.
   *
   * @throws {NotFoundError} at the first chunk, if the key is absent.
   * @throws {InvalidInputError} at the first chunk, if the range starts at or behind the end of a non-empty object.
   */
  getStream(key: string, range?: ByteRange): AsyncIterable<Uint8Array>;

  /** Null if the key is absent. Costs no transfer of the object: this is what pollers call. */
  head(key: string): Promise<ObjectHead | null>;

  /**
   * Writes one version. Without a condition it always commits, the last of concurrent writers staying.
   *
   * - `ifAbsent`: commits only if the key is absent (S3: `If-None-Match: *`).
   * - `ifMatch`: commits only if the current version has this etag (S3: `If-Match`); an absent key never matches.
   *
   * A condition that is already lost may be answered before `body` is read. An answer that got lost on the way (the call threw a
   * `TransientError`) leaves open whether it was committed: a retry must be able to recognize its own write by content.
   *
   * @throws {IntegrityError} if the body's hash is not `sha256`; nothing becomes visible.
   * @throws {TransientError} if the outcome is unknown or the store could not be reached; call again.
   */
  put(key: string, body: Body, options?: PutOptions): Promise<PutOutcome>;

  /**
   * Every key that starts with `prefix` (any string, not only whole folders), in byte order. An object that is put or deleted while
   * the listing runs may or may not be in it; every other one is, once. What others put there under names that are no keys is not.
   */
  list(prefix: string, options?: ListOptions): AsyncIterable<ObjectEntry>;

  /**
   * Removes the current version; an absent key is fine. For garbage and retention: nothing in the protocols of this folder needs
   * a delete to be correct. It may also remove what a put of the same key wrote while it ran.
   */
  delete(key: string): Promise<void>;
}
