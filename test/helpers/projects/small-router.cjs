// The model router over two domains, one that the cheap model is good at: its whole life in a minute. For processes, which run compiled code.
const { join } = require('node:path');

const dist = join(__dirname, '../../../dist');
const { project } = require(join(dist, 'examples/model-router/project'));
const { routerDataset } = require(join(dist, 'examples/model-router/dataset'));

const DOMAINS = ['banking', 'small_talk'];

async function smallRouter() {
  const { tasks, ...rest } = await routerDataset({ seed: 1 });
  return { ...rest, tasks: tasks.filter(({ slice }) => DOMAINS.includes(slice)) };
}

const { config } = project.policies['model-router'];

exports.project = {
  ...project,
  datasets: { 'small-router': smallRouter },
  policies: {
    'small-router': {
      config: {
        ...config,
        features: { ...config.features, buckets: 4096 },
        network: { embedding: 32, hidden: 64 },
      },
      createFrom: { dataset: 'small-router', prior: { dear: 1, cheap: 1 } },
    },
  },
};
