import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { temporal } from '@temporalio/proto';
import { historyFromJSON } from '@temporalio/common/lib/proto-utils';

/** One history per file, as `temporal workflow show --output json` prints it; how to record one is in README.md here. */
export const FOLDER = join(__dirname, 'histories');
export const HISTORIES = readdirSync(FOLDER).filter((file) => file.endsWith('.json'));

export interface RecordedHistory {
  readonly history: temporal.api.history.v1.IHistory;
  /** Part of what is replayed: children and promotions are named after it. */
  readonly workflowId: string;
}

/** @param edit changes the text before it is read; for a history that never was. */
export async function readHistory(
  file: string,
  edit: (text: string) => string = (text) => text,
): Promise<RecordedHistory> {
  const text = edit(await readFile(join(FOLDER, file), 'utf8'));
  const history = historyFromJSON(JSON.parse(text));
  const { workflowId } = history.events?.[0]?.workflowExecutionStartedEventAttributes ?? {};
  return { history, workflowId: workflowId ?? file };
}
