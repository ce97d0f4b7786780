import { createWriteStream } from 'node:fs';
import { mkdir, readdir, rename, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { localModelFolder } from '../src/adapters/local-model-folder';
import { ConflictError, InvalidInputError, NotFoundError, RatchetError } from '../src/errors';
import { modelName } from '../src/gateway/model-name';
import { checkpointModelFolder, readLanguageCheckpoint } from '../src/policies/language/checkpoint';
import { exportAdapter, exportModel } from '../src/policies/language/export-model';
import { importAdapter, importModel } from '../src/policies/language/import-model';
import { openModelWeights } from '../src/policies/language/model-files';
import type { ModelFolder } from '../src/policies/language/model-folder';
import { parameterCount } from '../src/policies/language/parameters';
import { readStopTokens } from '../src/policies/language/serving/generation-config';
import { openChatTemplate } from '../src/policies/language/text/chat-template';
import { openTokenizer } from '../src/policies/language/text/tokenizer';
import { Digest, DigestPrefix, Name, namesDigest, shortDigest } from '../src/schemas/ids';
import type { ObjectStore } from '../src/storage/object-store';
import { createRouting, readRouting } from '../src/storage/routing';
import type { FloatType } from '../src/storage/stream-safetensors';
import type { Environment } from './env';
import { openStore } from './open-store';
import { bytesText, textTable } from './text-table';

/** A model that somebody named, wherever it is. */
export interface NamedModel {
  readonly folder: ModelFolder;
  /** null for a folder on this machine. */
  readonly checkpoint: Digest | null;
  /** The checkpoint that this one is an adapter over. */
  readonly base: Digest | null;
}

/**
 * @param name a folder on this machine, a policy's name (its champion), or a checkpoint's digest or a beginning of it.
 * @throws {NotFoundError} if it is none of them; {InvalidInputError} if it is a checkpoint of another kind.
 */
export async function openNamedModel(env: Environment, name: string): Promise<NamedModel> {
  const isFolder = (await stat(name).catch(() => null))?.isDirectory() === true;
  if (isFolder) return { folder: localModelFolder(name), checkpoint: null, base: null };
  const store = await openStore(env);
  const checkpoint = await findCheckpoint(store, name);
  const { base } = await readLanguageCheckpoint(store, checkpoint);
  return { folder: await checkpointModelFolder(store, checkpoint), checkpoint, base };
}

async function findCheckpoint(store: ObjectStore, asked: string): Promise<Digest> {
  const name = asked.replace(/^ratchet\//, '');
  const digest = Digest.safeParse(name);
  if (digest.success) return digest.data;
  if (DigestPrefix.safeParse(name).success) {
    const found = new Set<Digest>();
    for await (const { key } of store.list('v1/checkpoints/')) {
      const parsed = Digest.safeParse(key.split('/')[2]);
      if (parsed.success && namesDigest(name, parsed.data)) found.add(parsed.data);
    }
    const [first, ...others] = found;
    if (first !== undefined && others.length === 0) return first;
    if (first !== undefined) {
      throw new InvalidInputError('several checkpoints begin like this: give more digits', {
        context: { got: name },
      });
    }
  }
  const routing = Name.safeParse(name).success ? await readRouting(store, name) : null;
  if (routing !== null) return routing.routing.champion;
  throw new NotFoundError(
    'there is no such model: expected a folder, the name of a policy that has a champion, or a checkpoint’s digest',
    { context: { got: name } },
  );
}

/** @returns what to print. */
export async function importFolder(
  env: Environment,
  path: string,
  {
    policy,
    base,
    json = false,
  }: { readonly policy?: string; readonly base?: string; readonly json?: boolean },
): Promise<string> {
  if (policy !== undefined && !Name.safeParse(policy).success) {
    throw new InvalidInputError(
      `--policy: ${z.prettifyError(Name.safeParse(policy).error as z.ZodError)}`,
    );
  }
  const store = await openStore(env);
  if (policy !== undefined && (await readRouting(store, policy)) !== null)
    throw hasChampion(policy);
  const folder = localModelFolder(path);
  const onFile = (name: string, size: number): void =>
    void process.stderr.write(`${name}: ${bytesText(size)}\n`);
  const { checkpoint, config, parameters } =
    base === undefined
      ? await importModel(store, folder, { onFile })
      : await importAdapter(store, folder, await findCheckpoint(store, base), { onFile });
  if (policy !== undefined) {
    const outcome = await createRouting(store, policy, {
      ...{ formatVersion: 1, generation: 0, champion: checkpoint, candidate: null },
      ...{ basisPoints: 0, salt: policy, leaseUntil: null, previous: null, promotionId: null },
    });
    if (!outcome.committed) throw hasChampion(policy);
  }
  const name = policy === undefined ? null : modelName(policy);
  if (json) return JSON.stringify({ checkpoint, parameters, model: name });
  return [
    `${checkpoint}`,
    `${config.modelType}, ${parameters.toLocaleString('en')} parameters`,
    name === null
      ? `talk to it: ratchet model chat ${shortDigest(checkpoint)}\nNothing names it yet: \`ratchet store gc\` removes it in time; import it with --policy to keep it.`
      : `agents reach it as ${name}`,
  ].join('\n');
}

function hasChampion(policy: string): ConflictError {
  return new ConflictError(
    'the policy has a champion already: another one takes a promotion, or another name',
    { context: { policy } },
  );
}

/** @returns what to print. */
export async function exportFolder(
  env: Environment,
  name: string,
  path: string,
  {
    dtype,
    maxShardMb,
    adapter = false,
  }: { readonly dtype: FloatType; readonly maxShardMb: number; readonly adapter?: boolean },
): Promise<string> {
  const { folder, checkpoint } = await openNamedModel(env, name);
  const root = resolve(path);
  await mkdir(root, { recursive: true });
  if ((await readdir(root)).length > 0) {
    throw new InvalidInputError('the folder is not empty: name another one', {
      context: { folder: root },
    });
  }
  let files = 0;
  const source =
    adapter && checkpoint !== null
      ? (await readLanguageCheckpoint(await openStore(env), checkpoint)).own
      : folder;
  const exported = adapter
    ? exportAdapter(source)
    : exportModel(folder, { dtype, maxShardBytes: maxShardMb * 1e6 });
  for await (const file of exported) {
    const partial = join(root, `.${file.name}.partial`);
    await pipeline(file.chunks(), createWriteStream(partial));
    await rename(partial, join(root, file.name));
    process.stderr.write(`${file.name}\n`);
    files++;
  }
  return `${files} files in ${root}`;
}

/** @returns what to print. */
export async function describeModel(
  env: Environment,
  name: string,
  { json = false }: { readonly json?: boolean },
): Promise<string> {
  const { folder, checkpoint, base } = await openNamedModel(env, name);
  const weights = await openModelWeights(folder);
  await weights.close();
  const { config } = weights;
  const tokenizer = await openTokenizer(folder);
  const stopTokens = [...(await readStopTokens(folder, tokenizer))];
  const template = await openChatTemplate(folder, tokenizer.config).catch((error: unknown) => {
    if (error instanceof RatchetError) return error;
    throw error;
  });
  const facts = {
    checkpoint,
    base,
    architecture: config.modelType,
    parameters: parameterCount(config),
    memoryBytes: parameterCount(config) * 4,
    layers: config.layers,
    width: config.hiddenSize,
    heads: config.heads,
    kvHeads: config.kvHeads,
    vocabulary: config.vocabSize,
    context: config.maxPositions,
    rope: config.ropeScaling.type === 'none' ? 'plain' : config.ropeScaling.type,
    tiedEmbeddings: config.tieEmbeddings,
    stopTokens,
    chatTemplate: !(template instanceof RatchetError),
    files: await folder.list(),
  };
  if (json) return JSON.stringify(facts);
  return textTable(
    ['what', ''],
    [
      ['checkpoint', checkpoint ?? 'none: a folder'],
      ...(base === null ? [] : [['adapter over', base]]),
      ['architecture', `${facts.architecture}, ${config.layers} layers of ${config.hiddenSize}`],
      [
        'parameters',
        `${facts.parameters.toLocaleString('en')}${config.tieEmbeddings ? ', embeddings tied' : ''}`,
      ],
      ['in memory', `${bytesText(facts.memoryBytes)} as float32`],
      ['heads', `${config.heads} of ${config.headDim}, ${config.kvHeads} for keys and values`],
      ['vocabulary', `${config.vocabSize.toLocaleString('en')} tokens`],
      ['context', `${config.maxPositions.toLocaleString('en')} tokens, rope ${facts.rope}`],
      [
        'ends a turn',
        stopTokens
          .map(
            (id) => `${id} ${JSON.stringify(tokenizer.decode([id], { skipSpecialTokens: false }))}`,
          )
          .join(', ') || 'nothing',
      ],
      [
        'chat template',
        template instanceof RatchetError
          ? `none that works: ${template.message}`
          : `there${template.marksGeneration ? ', marks what the model writes' : ''}`,
      ],
      ['files', facts.files.join(' ')],
    ],
  );
}
