/** Only workflows are exported here: each becomes a workflow type that the CLI can start. */
export { evaluation } from './evaluation';
export { promotion } from './promotion';
export { trainingRun } from './training-run';
