import { Command, InvalidArgumentError, Option } from 'commander';
import type { Environment } from './env';

const number =
  (name: string, isRight: (value: number) => boolean, expected: string) =>
  (text: string): number => {
    const value = Number(text);
    if (text.trim() !== '' && isRight(value)) return value;
    throw new InvalidArgumentError(`${name}: expected ${expected}`);
  };
const count = number('count', (n) => Number.isInteger(n) && n > 0, 'a whole number, at least 1');

/** `ratchet model import | export | info | chat`: language models in the store and as Hugging Face's folders. */
export function modelCommands(env: () => Environment): Command {
  const print = (text: string): void => void process.stdout.write(`${text}\n`);
  const model = new Command('model').description('Language models: Llama, Qwen2 and Qwen3.');
  const named = '<model>';
  const naming =
    'a folder, the name of a policy, or a checkpoint (sha256:…, or at least 12 digits of it)';
  model
    .command('import')
    .argument('<folder>', 'with config.json, weights (safetensors) and tokenizer.json')
    .description('Put a Hugging Face folder into the store, as a checkpoint.')
    .option('--policy <name>', 'make it the first champion of this policy: ratchet/<name> answers')
    .option('--base <model>', 'the folder is an adapter (PEFT) over this model of the store')
    .option('--json', 'print one line of JSON')
    .action(async (folder: string, options: { policy?: string; base?: string; json?: boolean }) => {
      const { importFolder } = await import('./model-files.js');
      print(await importFolder(env(), folder, options));
    });
  model
    .command('export')
    .argument(named, naming)
    .argument('<folder>', 'where to; must not be there yet, or be empty')
    .description(
      'Write a model as transformers’ save_pretrained does; an adapter is merged into it.',
    )
    .option('--adapter', 'the adapter alone, as PEFT’s save_pretrained does')
    .addOption(
      new Option('--dtype <type>', 'how weights are stored')
        .choices(['F32', 'F16', 'BF16'])
        .default('F32'),
    )
    .option('--max-shard-mb <n>', 'cut larger files of weights into shards', count, 5000)
    .action(
      async (
        name: string,
        folder: string,
        options: { dtype: 'F32' | 'F16' | 'BF16'; maxShardMb: number; adapter?: boolean },
      ) => {
        const { exportFolder } = await import('./model-files.js');
        print(await exportFolder(env(), name, folder, options));
      },
    );
  model
    .command('info')
    .argument(named, naming)
    .description('What a model is: architecture, size, tokenizer, template, where it comes from.')
    .option('--json', 'print one line of JSON')
    .action(async (name: string, options: { json?: boolean }) => {
      const { describeModel } = await import('./model-files.js');
      print(await describeModel(env(), name, options));
    });
  model
    .command('chat')
    .argument(named, naming)
    .description('Talk to a model, here in the terminal. Nothing is recorded.')
    .option('--prompt <text>', 'one question instead of a conversation; the answer is printed')
    .option('--system <text>', 'what the system says first')
    .option(
      '--temperature <t>',
      '0 always takes the most probable token',
      number('temperature', (t) => t >= 0 && t <= 10, 'a number from 0 to 10'),
      1,
    )
    .option('--max-tokens <n>', 'of each answer', count)
    .option(
      '--seed <n>',
      'the same conversation with the same seed gives the same answers',
      number('seed', (n) => Number.isSafeInteger(n) && n >= 0, 'a whole number, at least 0'),
    )
    .action(
      async (
        name: string,
        options: {
          prompt?: string;
          system?: string;
          temperature: number;
          maxTokens?: number;
          seed?: number;
        },
      ) => {
        const { chatWith } = await import('./model-chat.js');
        await chatWith(env(), name, options);
      },
    );
  return model;
}
