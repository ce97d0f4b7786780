import type { Shape } from '../../../autodiff/graph';
import { GraphBuilder } from '../../../autodiff/graph-builder';
import { NEXT, verifyNext } from '../../../autodiff/in-place';
import { emitModel } from '../../../onnx/emit';
import { buildUpdateGraph, GRADIENT, type UpdateSpec } from '../../../optim/update-graph';
import type { TensorWorkspace, WorkspaceSession } from '../../../ports/tensor-workspace';
import {
  buildAccumulateGraph,
  type AccumulateSpec,
  type MicroBatchShape,
} from './accumulate-graph';

/** Prefix of the gradients that are added to the workspace's own. */
export const OTHER = 'other.';

/** Sizes of micro-batches whose sessions one workspace keeps: each holds the memory of its activations. */
const MAX_SIZES = 16;

export interface TrainingSessions {
  /** Of a micro-batch of this size; the least recently used sizes are released. */
  accumulating(workspace: TensorWorkspace, shape: MicroBatchShape): Promise<WorkspaceSession>;
  /** gradient ← gradient + other.gradient, of every parameter. */
  adding(workspace: TensorWorkspace): Promise<WorkspaceSession>;
  updating(workspace: TensorWorkspace): Promise<WorkspaceSession>;
}

/** Sessions by workspace and what they are for; each graph is built when it is first needed. */
export function createTrainingSessions(
  spec: Omit<AccumulateSpec, 'shape'> & { readonly optimizer: UpdateSpec['optimizer'] },
): TrainingSessions {
  const { optimizer, ...accumulate } = spec;
  const { trainable } = spec.model;
  const bySize = new Map<TensorWorkspace, Map<string, Promise<WorkspaceSession>>>();
  const adding = new Map<TensorWorkspace, Promise<WorkspaceSession>>();
  const updating = new Map<TensorWorkspace, Promise<WorkspaceSession>>();

  return {
    async accumulating(workspace, { rows, length, targets }) {
      const loaded = cacheOf(bySize, workspace);
      const name = `training, ${rows} x ${length} tokens, ${targets} targets`;
      const session = loadOnce(loaded, name, () =>
        workspace.load(
          emitModel(buildAccumulateGraph({ ...accumulate, shape: { rows, length, targets } })),
          { name },
        ),
      );
      loaded.delete(name);
      loaded.set(name, session); // the last one is the one used last
      for (const [oldest, unused] of loaded) {
        if (loaded.size <= MAX_SIZES) break;
        loaded.delete(oldest);
        await (await unused).release();
      }
      return session;
    },
    adding: (workspace) =>
      loadOnce(adding, workspace, () =>
        workspace.load(buildAddingModel(trainable), { name: 'adding gradients' }),
      ),
    updating: (workspace) =>
      loadOnce(updating, workspace, () =>
        workspace.load(emitModel(buildUpdateGraph({ parameters: trainable, optimizer })), {
          name: 'updating',
        }),
      ),
  };
}

function cacheOf(
  caches: Map<TensorWorkspace, Map<string, Promise<WorkspaceSession>>>,
  workspace: TensorWorkspace,
): Map<string, Promise<WorkspaceSession>> {
  const found = caches.get(workspace) ?? new Map<string, Promise<WorkspaceSession>>();
  caches.set(workspace, found);
  return found;
}

/** What failed is tried again by the next call; the callers of this one see the error. */
function loadOnce<K>(
  loaded: Map<K, Promise<WorkspaceSession>>,
  key: K,
  load: () => Promise<WorkspaceSession>,
): Promise<WorkspaceSession> {
  const found = loaded.get(key);
  if (found !== undefined) return found;
  const session = load();
  loaded.set(key, session);
  session.catch(() => loaded.delete(key));
  return session;
}

function buildAddingModel(parameters: Readonly<Record<string, Shape>>): Uint8Array {
  const b = new GraphBuilder();
  const outputs = Object.fromEntries(
    Object.entries(parameters).map(([name, shape]) => {
      const gradient = name + GRADIENT;
      return [NEXT + gradient, b.add(b.input(gradient, shape), b.input(OTHER + gradient, shape))];
    }),
  );
  const graph = b.build(outputs);
  verifyNext(graph);
  return emitModel(graph);
}
