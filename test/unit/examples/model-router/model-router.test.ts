import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../../../examples/model-router/agent';
import { routerDataset } from '../../../../examples/model-router/dataset';
import {
  CHEAP_IS_GOOD_AT,
  DEAR_CALL,
  LAMBDA,
  PRICES,
  USAGE,
} from '../../../../examples/model-router/models';
import { project } from '../../../../examples/model-router/project';
import {
  startUpstreamDouble,
  type UpstreamDouble,
} from '../../../../examples/model-router/upstream-double';
import { answerOfCustomer } from '../../../../examples/support-desk/customer';
import { parseReference } from '../../../../examples/support-desk/reference';
import { costMicros } from '../../../../src/gateway/upstreams/cost';
import { RunConfig } from '../../../../src/schemas/run-config';
import type { DatasetSource } from '../../../../src/schemas/task';

const QUERIES = 300;
let dataset: DatasetSource;
let double: UpstreamDouble;

beforeAll(async () => {
  dataset = await routerDataset({ seed: 1 });
  double = await startUpstreamDouble(dataset);
});
afterAll(() => double.close());

/** The share of queries that a model resolves, for the unchanged agent. */
async function resolved(model: string, isGood: boolean): Promise<number> {
  const tasks = dataset.tasks
    .filter(({ split, slice }) => split === 'report' && CHEAP_IS_GOOD_AT.has(slice) === isGood)
    .slice(0, QUERIES);
  const answers = await Promise.all(
    tasks.map(async ({ input, reference }) => {
      const result = await run({ baseUrl: double.url, apiKey: 'none', model, input });
      return answerOfCustomer(parseReference(reference), result) === 'resolved' ? 1 : 0;
    }),
  );
  return answers.reduce((sum: number, one) => sum + one, 0) / tasks.length;
}

test('the dear model is good everywhere, the cheap one at half of the domains', async () => {
  expect(CHEAP_IS_GOOD_AT.size).toBe(new Set(dataset.tasks.map(({ slice }) => slice)).size / 2);
  expect(await resolved('dear', true)).toBeGreaterThan(0.93);
  expect(await resolved('dear', false)).toBeGreaterThan(0.93);
  expect(await resolved('cheap', true)).toBeGreaterThan(0.93);
  expect(await resolved('cheap', false)).toBeLessThan(0.3);
});

test('a call of the dear model costs what the run takes for a whole call, one of the cheap a tenth', () => {
  const usage = {
    promptTokens: USAGE.prompt_tokens,
    completionTokens: USAGE.completion_tokens,
  };
  expect(costMicros(PRICES.dear, usage)).toBe(DEAR_CALL);
  expect(costMicros(PRICES.cheap, usage)).toBeCloseTo(DEAR_CALL / 10, 6);
});

test('its run names what the project registers, and weighs cost as the project does', () => {
  const path = join(__dirname, '../../../../examples/model-router/run.json');
  const config = RunConfig.parse(JSON.parse(readFileSync(path, 'utf8')));
  expect(Object.keys(project.policies)).toContain(config.policy);
  expect(Object.keys(project.datasets)).toContain(config.dataset);
  expect(config.live).toMatchObject({ costPerCall: DEAR_CALL });
  expect(config.reward.weights).toEqual({ feedback: 1, thrift: LAMBDA });
  const scorers = project.scorers.map(({ name }) => name);
  const metrics = [config.gate.target, ...config.gate.guardrails.map(({ metric }) => metric)];
  expect(scorers).toEqual(expect.arrayContaining(metrics));
  const train = dataset.tasks.filter(({ split }) => split === 'train').length;
  expect(config.live?.decisions).toBeLessThan(train);
});
