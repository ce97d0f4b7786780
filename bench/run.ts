import { readdirSync } from 'node:fs';
import { parse } from 'node:path';

/** `npm run --silent bench -- <name> [options]`: runs one benchmark and prints its figures as one line of JSON. */
async function main(): Promise<number> {
  const names = readdirSync(__dirname)
    .filter((file) => file.endsWith('.js') && file !== parse(__filename).base)
    .map((file) => parse(file).name);
  const name = process.argv[2];
  if (name === undefined || !names.includes(name)) {
    process.stderr.write(`usage: npm run --silent bench -- <name>, one of: ${names.join(', ')}\n`);
    return name === undefined ? 0 : 2;
  }
  const { run } = (await import(`./${name}.js`)) as {
    run: (args: readonly string[]) => Promise<Record<string, unknown>>;
  };
  process.stdout.write(`${JSON.stringify(await run(process.argv.slice(3)))}\n`);
  return 0;
}

main().then(
  (code) => process.exit(code), // a benchmark may leave threads behind; its figures are printed
  (error: unknown) => {
    console.error(error);
    process.exit(1);
  },
);
