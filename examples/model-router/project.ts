import type { PolicyRegistration, Project } from '../../src/project';
import { ChoiceConfig } from '../../src/schemas/choice-config';
import type { Scorer } from '../../src/scoring/scorer';
import { createThriftScorer } from '../../src/scoring/thrift';
import { answerOfCustomer } from '../support-desk/customer';
import { parseReference } from '../support-desk/reference';
import { run } from './agent';
import { routerDataset } from './dataset';
import { DEAR_CALL, LAMBDA, MODELS } from './models';

const thrift = createThriftScorer(DEAR_CALL);

const resolution: Scorer = {
  name: 'resolution',
  version: '1',
  score: ({ reference: { reference }, result }) =>
    answerOfCustomer(parseReference(reference), result) === 'resolved' ? 1 : 0,
};

/** What is trained on, measured on rollouts: (resolution + λ · thrift) / (1 + λ). */
const value: Scorer = {
  name: 'value',
  version: '1',
  async score(input) {
    const [resolved, cost] = [await resolution.score(input), await thrift.score(input)];
    return resolved === null || cost === null ? null : (resolved + LAMBDA * cost) / (1 + LAMBDA);
  },
};

/** One arm per model. The first is what the policy takes greedily before it has learned anything: always the dear one. */
const policyOf = (dataset: string): PolicyRegistration => ({
  config: ChoiceConfig.parse({
    arms: MODELS.map((model) => ({ kind: 'request', name: model, patch: { model } })),
    // Customers are served nearly as the gate measured it; 1 % are left to chance, so that later runs can learn.
    ...{ temperature: 0.1, explorationFloor: 0.01 },
  }),
  createFrom: { dataset, prior: Object.fromEntries(MODELS.map((model) => [model, 1])) },
});

/** What the workers know of the router. The three datasets differ in which queries are left out for the support desk's demonstrations. */
export const project: Project = {
  agents: { 'model-router': { kind: 'module', run } },
  scorers: [value, resolution, thrift],
  datasets: {
    'model-router': () => routerDataset({ seed: 1 }),
    'model-router-2': () => routerDataset({ seed: 2 }),
    'model-router-3': () => routerDataset({ seed: 3 }),
  },
  policies: {
    'model-router': policyOf('model-router'),
    'model-router-2': policyOf('model-router-2'),
    'model-router-3': policyOf('model-router-3'),
  },
};
