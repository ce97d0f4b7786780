#!/usr/bin/env node
import { Command, InvalidArgumentError } from 'commander';
import { describeError, InvalidInputError } from '../src/errors';
import { endWithStdin, READY } from './demo/child-process';
import { environmentTable, readEnvironment, Role } from './env';
import { eraseCommand } from './erase-command';
import { keysCommands } from './keys-commands';
import { modelCommands } from './model-commands';
import { gatewayCommands } from './gateway-commands';
import { privacyCommands } from './privacy-commands';
import { runsCommands } from './runs-commands';
import { jsonSchema, SCHEMA_NAMES, type SchemaName } from './schemas';
import { sessionsCommands } from './sessions-commands';
import { storeCommands } from './store-commands';

/**
 * The `ratchet` command. Each command loads only what it needs: `schema` must not start ONNX Runtime, and the servers'
 * commands work before anything else is built.
 */
const program = new Command('ratchet')
  .description('Durable reinforcement learning for the agents people already run.')
  .showHelpAfterError()
  .enablePositionalOptions();

const print = (line: string): void => void process.stdout.write(`${line}\n`);
const env = (): ReturnType<typeof readEnvironment> => readEnvironment(process.env);

function integer(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0)
    throw new InvalidArgumentError('expected a whole number, at least 0');
  return value;
}

function roleList(text: string): Role[] {
  return text.split(',').map((role) => {
    const parsed = Role.safeParse(role.trim());
    if (parsed.success) return parsed.data;
    throw new InvalidArgumentError(`expected ${Role.options.join(', ')}, joined by commas`);
  });
}

program
  .command('demo')
  .description(
    'The whole loop on real customer queries: watch a policy learn, approve it, see it serve.',
  )
  .option('--yes', 'approve as the demo’s approver instead of asking')
  .option('--json', 'end with one line of JSON')
  .option('--seed <n>', 'which draw of demonstrations and queries (1, 2 or 3)', integer, 1)
  .option('--keep', 'go on with the data of the last demo instead of starting anew')
  .action(async (options: { yes?: boolean; json?: boolean; seed: number; keep?: boolean }) => {
    const { runDemo } = await import('./demo/demo.js');
    process.exitCode = await runDemo(env(), {
      yes: options.yes === true,
      json: options.json === true,
      seed: options.seed,
      keep: options.keep === true,
    });
  });

program
  .command('router-demo')
  .description(
    'A router learns from live feedback which of two models answers: dear and good, or cheap and good at half of it.',
  )
  .option('--yes', 'approve as the demo’s approver instead of asking')
  .option('--json', 'end with one line of JSON')
  .option('--seed <n>', 'which draw of queries (1, 2 or 3)', integer, 1)
  .action(async (options: { yes?: boolean; json?: boolean; seed: number }) => {
    const { runRouterDemo } = await import('./demo/router-demo.js');
    process.exitCode = await runRouterDemo(env(), {
      yes: options.yes === true,
      json: options.json === true,
      seed: options.seed,
    });
  });

program
  .command('worker')
  .description('Run a worker process: workflows, rollouts, training (RATCHET_ROLES, or --roles).')
  .option('--roles <roles>', 'control,rollout,gpu', roleList)
  .action(async (options: { roles?: Role[] }) => {
    const { runWorker } = await import('./worker.js');
    endWithStdin();
    const roles = options.roles ?? env().roles;
    await runWorker({ ...env(), roles }, (line) => print(`${READY}${line}`));
    process.exit(0); // all work is handed over; what an agent of ours may have left in the event loop must not keep us
  });

program.addCommand(gatewayCommands(env));
program.addCommand(modelCommands(env));

program
  .command('health')
  .description('Whether the worker of this machine (RATCHET_HEALTH_FILE), or a gateway, is well.')
  .option('--url <url>', 'ask a gateway instead, e.g. http://127.0.0.1:8787/readyz')
  .action(async (options: { url?: string }) => {
    const { checkHealthFile, checkUrl } = await import('./health.js');
    if (options.url !== undefined) return print(await checkUrl(options.url));
    const { healthFile } = env();
    if (healthFile === null) {
      throw new InvalidInputError('RATCHET_HEALTH_FILE is not set: set it for the worker and here');
    }
    print(await checkHealthFile(healthFile));
  });

program
  .command('env')
  .description('The environment variables, as a Markdown table.')
  .action(() => print(environmentTable()));

const servers = program
  .command('servers')
  .description('The servers of this folder: Temporal, and MinIO where it is wanted.');
servers
  .command('up')
  .description(
    'Provide the Temporal CLI if it is not there, start its dev server, register the search attributes.',
  )
  .option('--with <servers>', 'minio: an S3 server and its bucket too', (text) => text.split(','))
  .action(async (options: { with?: string[] }) => {
    const { EXTRA_SERVERS, serversUp } = await import('./servers/servers.js');
    const extra = (options.with ?? []).map((name) => {
      const known = EXTRA_SERVERS.find((server) => server === name.trim());
      if (known === undefined) {
        throw new InvalidArgumentError(`expected ${EXTRA_SERVERS.join(', ')}, got ${name}`);
      }
      return known;
    });
    print(JSON.stringify(await serversUp({ stateDir: env().home, with: extra }), null, 2));
  });
servers
  .command('env')
  .description(
    'Lines that make our processes use the MinIO of this folder; eval "$(npm run --silent ratchet -- servers env)". Shows its secret.',
  )
  .action(async () => {
    const { serversEnvironment } = await import('./servers/servers.js');
    const variables = await serversEnvironment({ stateDir: env().home });
    for (const [name, value] of Object.entries(variables)) print(`export ${name}='${value}'`);
  });
servers
  .command('down')
  .description('Stop them. Their data stays.')
  .action(async () => {
    const { serversDown, serversStatus } = await import('./servers/servers.js');
    await serversDown({ stateDir: env().home });
    print(JSON.stringify(await serversStatus({ stateDir: env().home }), null, 2));
  });
servers
  .command('status')
  .description('What runs, and where.')
  .action(async () => {
    const { serversStatus } = await import('./servers/servers.js');
    print(JSON.stringify(await serversStatus({ stateDir: env().home }), null, 2));
  });

program
  .command('queues')
  .description(
    'Who polls the task queues: says also what no workflow can, that no control worker runs.',
  )
  .action(async () => {
    const { connectClient } = await import('./temporal-connection.js');
    const { queueStatus } = await import('./queue-status.js');
    const client = await connectClient(env().home);
    try {
      print(JSON.stringify(await queueStatus(client, env().taskQueue), null, 2));
    } finally {
      await client.connection.close();
    }
  });

program
  .command('temporal')
  .description('Run the temporal CLI that belongs to this version, against this folder’s server.')
  .allowUnknownOption()
  .passThroughOptions()
  .helpOption(false)
  .argument('[args...]')
  .action(async (args: string[]) => {
    const { runTemporalCli } = await import('./servers/temporal-cli.js');
    process.exitCode = await runTemporalCli(args, { stateDir: env().home });
  });

program
  .command('schema')
  .description('Print the JSON Schema of a workflow’s input.')
  .argument('<workflow>', SCHEMA_NAMES.join(', '))
  .action((name: string) => {
    if (!SCHEMA_NAMES.includes(name as SchemaName)) {
      throw new InvalidArgumentError(`expected one of ${SCHEMA_NAMES.join(', ')}, got ${name}`);
    }
    print(JSON.stringify(jsonSchema(name as SchemaName), null, 2));
  });

program.addCommand(keysCommands(env));
program.addCommand(storeCommands(env));
program.addCommand(runsCommands(env));
program.addCommand(sessionsCommands(env));
program.addCommand(eraseCommand(env));
program.addCommand(privacyCommands(env));

/** What a shell answers for a process whose reader is gone. */
const READER_GONE = 141;
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(READER_GONE); // `| head`: it has what it wanted
  process.stderr.write(`ratchet: standard output cannot be written: ${describeError(error)}\n`);
  process.exit(1);
});

program.parseAsync(process.argv).catch((error: unknown) => {
  process.stderr.write(`ratchet: ${describeError(error)}\n`);
  // A worker's threads may outlive the error that ended it: without this the process would hang.
  process.exit(1);
});
