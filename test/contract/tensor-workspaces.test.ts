/** @jest-environment ./test/gradcheck/ort-environment.cjs */
import { createInThreadWorkspace } from '../../src/adapters/ort/in-thread-workspace';
import { createThreadWorkspace } from '../../src/adapters/ort/thread-workspace';
import { tensorWorkspaceContract } from './tensor-workspace.contract';

describe('on the calling thread', () => {
  tensorWorkspaceContract(() => createInThreadWorkspace({ threads: 1 }));
});

describe('in a thread of its own', () => {
  tensorWorkspaceContract(() => createThreadWorkspace({ threads: 1 }));
});
