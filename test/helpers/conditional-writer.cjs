// One process of a contract test: makes a store from compiled code and does what it is told.
// argv: JSON {module, create, options, key, mode, id, etag?, times?, sizeBytes?}
//   mode ifAbsent / ifMatch: says `ready`, reads a start time from stdin, makes one conditional put; prints the outcome as JSON
//   mode increment: reads the number in the object and swaps in the next one, `times` times; prints how often it committed
//   mode storm: overwrites the object for ever with bodies whose first line says what must follow; is killed from outside
const { Buffer } = require('node:buffer');
const path = require('node:path');

const job = JSON.parse(process.argv[2]);
const store = require(path.resolve(__dirname, '../../dist', job.module))[job.create](job.options);

async function increment() {
  let committed = 0;
  while (committed < job.times) {
    const { bytes, etag } = await store.get(job.key);
    const next = String(Number(Buffer.from(bytes)) + 1);
    const outcome = await store.put(job.key, Buffer.from(next), { ifMatch: etag });
    if (outcome.committed) committed += 1;
  }
  return committed;
}

async function storm() {
  process.stdout.write('started\n');
  for (let n = 0; ; n++) {
    const body = `${job.id}-${n} `.repeat(job.sizeBytes / 8);
    await store.put(job.key, Buffer.from(`${body.length}\n${body}`));
  }
}

/** All writers are up before the first one may start, and then start at one instant. */
async function once() {
  process.stdout.write('ready\n');
  const startAt = await new Promise((resolve) =>
    process.stdin.once('data', (line) => resolve(Number(line))),
  );
  process.stdin.destroy();
  while (Date.now() < startAt);
  const condition = job.mode === 'ifAbsent' ? { ifAbsent: true } : { ifMatch: job.etag };
  return store.put(job.key, Buffer.from(job.id), condition);
}

const work = { ifAbsent: once, ifMatch: once, increment, storm }[job.mode];
work().then(
  (result) => process.stdout.write(JSON.stringify(result)),
  (error) => {
    process.stderr.write(String(error.stack));
    process.exitCode = 1;
  },
);
