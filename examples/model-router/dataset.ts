import type { DatasetSource } from '../../src/schemas/task';
import { supportDeskDataset } from '../support-desk/dataset';
import { parseReference } from '../support-desk/reference';

/**
 * The support desk's queries that one of its tools can handle, in the splits that they have there: 14,200 to learn from, 1,500 to choose by,
 * 1,450 for the gate and 4,500 for the report. Those out of scope are left out: they belong to no domain, and the two models differ by domain.
 */
export async function routerDataset({ seed }: { seed: number }): Promise<DatasetSource> {
  const { tasks, attribution } = await supportDeskDataset({ seed });
  const inScope = tasks.filter(({ reference }) => parseReference(reference).intent !== null);
  return { tasks: inScope, demonstrations: [], attribution };
}
