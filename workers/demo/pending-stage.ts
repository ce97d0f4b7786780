import { defaultPayloadConverter } from '@temporalio/common';
import type { Client } from '@temporalio/client';
import { z } from 'zod';
import type { StageProgress } from './progress-view';

const Details = z.object({ done: z.number(), of: z.number() });

/** The progress of the activities that run now, added up, as the Temporal UI shows it too; null when none reports any. */
export async function pendingStage(
  client: Client,
  workflowId: string,
): Promise<StageProgress | null> {
  const { raw } = await client.workflow.getHandle(workflowId).describe();
  const reports = (raw.pendingActivities ?? []).flatMap(({ heartbeatDetails }) => {
    const payload = heartbeatDetails?.payloads?.[0];
    if (payload === undefined) return [];
    const details = Details.safeParse(defaultPayloadConverter.fromPayload(payload));
    return details.success ? [details.data] : [];
  });
  if (reports.length === 0) return null;
  return {
    done: reports.reduce((sum, { done }) => sum + done, 0),
    of: reports.reduce((sum, { of }) => sum + of, 0),
  };
}
