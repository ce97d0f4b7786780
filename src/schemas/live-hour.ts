import { z } from 'zod';
import { Name } from './ids';
import { Sha256Hex } from './object-ref';

/** The most names that an entry lists; where a segment has more, it may hold any. */
export const MAX_LISTED_NAMES = 64;
const Names = z.array(z.string()).max(MAX_LISTED_NAMES).nullable();

/** One live segment, and enough of what is in it to know whether it has to be read. */
export const LiveSegmentEntry = z.strictObject({
  /** The last part of its key, with `.jsonl`. */
  name: z.string().min(1),
  sha256: Sha256Hex,
  sizeBytes: z.int().min(0),
  decisions: z.int().min(0),
  unresolved: z.int().min(0),
  /** Of its decisions; null where it has none. */
  firstAt: z.iso.datetime().nullable(),
  lastAt: z.iso.datetime().nullable(),
  /** As upstreams name them. */
  models: Names,
  upstreams: Names,
  policies: Names,
});
export type LiveSegmentEntry = z.infer<typeof LiveSegmentEntry>;

/** The live segments of one agent and hour (UTC). Derived: everything in it can be read from the segments again. */
export const LiveHour = z.strictObject({
  formatVersion: z.literal(1),
  agent: Name,
  day: z.iso.date(),
  hour: z.int().min(0).max(23),
  /** In the order of their names. */
  segments: z.array(LiveSegmentEntry),
});
export type LiveHour = z.infer<typeof LiveHour>;
