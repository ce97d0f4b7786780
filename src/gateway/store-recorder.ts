import { randomUUID } from 'node:crypto';
import { ConflictError, TransientError } from '../errors';
import type { Decision } from '../schemas/decision';
import type { Tool } from '../schemas/message';
import type { SegmentLine } from '../schemas/trajectory';
import { sha256Hex } from '../storage/digest';
import { liveSegmentKey } from '../storage/keys';
import type { ObjectStore } from '../storage/object-store';
import type { RecordedCall, Recorder } from './recorder';

export interface StoreRecorderOptions {
  readonly store: ObjectStore;
  /** Tells this process's segments from others'; letters, digits and dashes. @default random */
  readonly instance?: string;
  /** How long a call waits for others to share its write. @default 5 */
  readonly flushEveryMs?: number;
  /** Writes under way at a time; what an agent's calls bring meanwhile shares its next one. @default 8 */
  readonly maxWrites?: number;
  /** What may wait to be written; above it calls are refused at once. @default 64 MiB */
  readonly maxPendingBytes?: number;
  /** A write that takes longer counts as failed, though it may still land. @default 2000 */
  readonly timeoutMs?: number;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

export interface StoreRecorder extends Recorder {
  /** Writes what is pending and refuses what comes later. */
  close(): Promise<void>;
}

/** The calls of one agent that will share a segment. */
interface Batch {
  readonly agent: string;
  /** Messages and toolsets by id. */
  readonly lines: Map<string, string>;
  readonly sessions: Map<string, Map<string, Decision>>;
  readonly waiting: { readonly resolve: () => void; readonly reject: (error: Error) => void }[];
  sizeBytes: number;
  /** It has waited for long enough. */
  isDue: boolean;
  readonly timer: NodeJS.Timeout;
}

/**
 * The recorder of live traffic: group commit into the object store. Calls that come within `flushEveryMs` are written together, as one
 * segment per agent under a key of its own; `record` resolves when that put did. So what an agent was told is recorded survives the
 * death of this process, and one session may be spread over several segments (live-segments.ts merges them).
 */
export function createStoreRecorder({
  store,
  instance = randomUUID(),
  flushEveryMs = 5,
  maxWrites = 8,
  maxPendingBytes = 64 * 1024 * 1024,
  timeoutMs = 2_000,
  now = Date.now,
}: StoreRecorderOptions): StoreRecorder {
  /** By agent, oldest first. */
  const open = new Map<string, Batch>();
  const writes = new Set<Promise<void>>();
  let pendingBytes = 0;
  let segments = 0;
  let isClosed = false;

  /** A batch that is due stays open until a write is free, so that calls share as few writes as it takes. */
  const startWrites = (): void => {
    for (const batch of open.values()) {
      if (writes.size >= maxWrites) return;
      if (batch.isDue) start(batch);
    }
  };
  const start = (batch: Batch): void => {
    open.delete(batch.agent);
    const write = settle(batch).finally(() => {
      writes.delete(write);
      pendingBytes -= batch.sizeBytes;
      startWrites();
    });
    writes.add(write);
  };
  const settle = async (batch: Batch): Promise<void> => {
    try {
      await withTimeout(write(batch), timeoutMs);
      for (const { resolve } of batch.waiting) resolve();
    } catch (error) {
      const reason = error instanceof Error ? error : new Error(String(error));
      for (const { reject } of batch.waiting) reject(reason);
    }
  };
  const write = async (batch: Batch): Promise<void> => {
    const at = new Date(now());
    const key = liveSegmentKey(
      batch.agent,
      at.toISOString().slice(0, 10),
      at.getUTCHours(),
      `${at.getTime()}-${instance}-${segments++}`,
    );
    const bytes = new TextEncoder().encode(segmentText(batch));
    const outcome = await store.put(key, bytes, { ifAbsent: true, sha256: sha256Hex(bytes) });
    if (!outcome.committed)
      throw new ConflictError('a live segment’s key is taken', { context: { key } });
  };
  const makeDue = (batch: Batch): void => {
    clearTimeout(batch.timer);
    batch.isDue = true;
    startWrites();
  };
  const batchOf = (agent: string): Batch => {
    const current = open.get(agent);
    if (current !== undefined) return current;
    const batch: Batch = {
      ...{ agent, lines: new Map(), sessions: new Map(), waiting: [], sizeBytes: 0 },
      isDue: false,
      timer: setTimeout(() => makeDue(batch), flushEveryMs),
    };
    open.set(agent, batch);
    return batch;
  };

  return {
    record(call) {
      if (isClosed) return Promise.reject(new TransientError('the gateway is closing'));
      if (pendingBytes >= maxPendingBytes) {
        return Promise.reject(
          new TransientError(
            `too much waits to be recorded: expected less than ${maxPendingBytes} bytes; the object store is slower than the traffic`,
          ),
        );
      }
      return new Promise((resolve, reject) => {
        const batch = batchOf(call.agent);
        pendingBytes += add(batch, call);
        batch.waiting.push({ resolve, reject });
      });
    },

    // Nobody waits for a live session to end: there is nothing to count.
    begin: () => () => undefined,

    // A live call that got no answer leaves no trajectory; its client was told, and the gateway's counters hold it.
    recordFailure() {},

    async close() {
      isClosed = true;
      for (const batch of [...open.values()]) makeDue(batch);
      while (writes.size > 0) await Promise.all(writes);
    },
  };
}

/** @returns by how many characters the batch grew. */
function add(batch: Batch, { session, decision, messages, tools }: RecordedCall): number {
  const before = batch.sizeBytes;
  const put = (id: string, line: () => string): void => {
    if (batch.lines.has(id)) return;
    const text = line();
    batch.lines.set(id, text);
    batch.sizeBytes += text.length;
  };
  for (const [id, message] of messages) {
    put(id, () => JSON.stringify({ type: 'message', id, message } satisfies SegmentLine));
  }
  const { toolset } = decision;
  if (toolset !== null && tools !== null) put(toolset, () => toolsetLine(toolset, tools));
  const decisions = batch.sessions.get(session) ?? new Map<string, Decision>();
  batch.sessions.set(session, decisions.set(decision.id, decision));
  return batch.sizeBytes - before;
}

// The same list of tools goes into nearly every segment.
const toolsetLines = new WeakMap<readonly Tool[], string>();

function toolsetLine(id: string, tools: readonly Tool[]): string {
  const known = toolsetLines.get(tools);
  if (known !== undefined) return known;
  const line = JSON.stringify({ type: 'toolset', id, tools: [...tools] } satisfies SegmentLine);
  toolsetLines.set(tools, line);
  return line;
}

function segmentText({ agent, lines, sessions }: Batch): string {
  const trajectories = Array.from(sessions, ([id, decisions]) =>
    JSON.stringify({
      type: 'trajectory',
      trajectory: {
        ...{ id, agent, task: null, attempt: 1, member: 0, outcome: null },
        decisions: [...decisions.values()],
      },
    } satisfies SegmentLine),
  );
  return [...lines.values(), ...trajectories].map((line) => `${line}\n`).join('');
}

async function withTimeout(work: Promise<void>, timeoutMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new TransientError(`the object store did not answer within ${timeoutMs} ms`)),
      timeoutMs,
    );
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
