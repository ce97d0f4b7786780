import { TransientError } from '../../errors';
import type { Tool } from '../../schemas/message';
import type { SegmentLine } from '../../schemas/trajectory';
import type { RecordedCall, Recorder } from './recorder';
import type { Spool, SpoolEntry } from './spool';
import type { SpooledCall } from './spool-entry';

export interface SpoolRecorderOptions {
  readonly spool: Spool;
  /** A disk that takes longer counts as failed, though the entry may still land. @default 5000 */
  readonly timeoutMs?: number;
}

/** The status of a call of which nobody knows how it will end. */
const UNRECORDED = 0;

/**
 * The recorder of live traffic: the intent is durable in the spool before a policy is asked, the decision before the answer goes out. From
 * there drain-spool.ts brings both into the object store, whose state no call ever waits for.
 */
export function createSpoolRecorder({ spool, timeoutMs = 5_000 }: SpoolRecorderOptions): Recorder {
  const land = (call: SpooledCall, entry: Omit<SpoolEntry, 'text'>): Promise<void> =>
    spool.append({ ...entry, text: JSON.stringify(call) });
  const append = (call: SpooledCall, entry: Omit<SpoolEntry, 'text'>): Promise<void> =>
    withTimeout(land(call, entry), timeoutMs);
  const close = (id: string, status: number): void => {
    append({ type: 'end', intent: id, status }, { closes: id }).catch(() => {
      // Its client has been told how the call ended. If this process dies soon, it counts as unresolved; otherwise it is forgotten.
    });
  };

  return {
    intents: {
      async open(intent) {
        const landing = land({ type: 'intent', intent }, { opens: intent.id });
        try {
          await withTimeout(landing, timeoutMs);
        } catch (error) {
          // The call goes on unrecorded, and nobody closes what lands after all: each new file would begin with it, for good.
          landing.then(
            () => close(intent.id, UNRECORDED),
            () => undefined, // it never did
          );
          throw error;
        }
      },
      close,
    },

    async record(call) {
      const { session, agent, decision, intent } = call;
      await append(
        { type: 'decision', session, agent, decision },
        { parts: partsOf(call), ...(intent === undefined ? {} : { closes: intent }) },
      );
    },

    recordUse: (use) => append({ type: 'use', use }, { closes: use.id }),

    // Nobody waits for a live session to end: there is nothing to count.
    begin: () => () => undefined,

    // A live call that got no answer leaves no trajectory; its client was told, and the gateway's counters hold it.
    recordFailure() {},
  };
}

/** What the decision refers to, as lines of a segment. */
function partsOf({ decision, messages, tools }: RecordedCall): Map<string, () => string> {
  const parts = new Map<string, () => string>();
  for (const [id, message] of messages) {
    parts.set(id, () => JSON.stringify({ type: 'message', id, message } satisfies SegmentLine));
  }
  const { toolset } = decision;
  if (toolset !== null && tools !== null) parts.set(toolset, () => toolsetLine(toolset, tools));
  return parts;
}

// The same list of tools goes into every file.
const toolsetLines = new WeakMap<readonly Tool[], string>();

function toolsetLine(id: string, tools: readonly Tool[]): string {
  const known = toolsetLines.get(tools);
  if (known !== undefined) return known;
  const line = JSON.stringify({ type: 'toolset', id, tools: [...tools] } satisfies SegmentLine);
  toolsetLines.set(tools, line);
  return line;
}

async function withTimeout(work: Promise<void>, timeoutMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new TransientError(`the spool’s disk did not answer within ${timeoutMs} ms`)),
      timeoutMs,
    );
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
