import { createThreadChatHost } from '../src/adapters/chat-host/thread-chat-host';
import { createThreadRuntime } from '../src/adapters/ort/thread-runtime';
import { createPolicyServer } from '../src/policies/choice/policy-server';
import { LANGUAGE_KIND } from '../src/policies/language/checkpoint';
import { createLanguagePolicyServer } from '../src/policies/language/serving/policy-server';
import type { PolicyServer } from '../src/policies/policy-server';
import { joinPolicyServers } from '../src/policies/policy-servers';
import type { TensorRuntime } from '../src/ports/tensor-runtime';
import type { ObjectStore } from '../src/storage/object-store';
import type { Environment } from './env';

/** The servers of all kinds of policies. Whoever opened them closes both. */
export async function openPolicies(
  env: Environment,
  store: ObjectStore,
): Promise<{ readonly policies: PolicyServer; readonly runtime: TensorRuntime }> {
  const runtime = await createThreadRuntime({ threads: 1 }); // choosing shares the machine with agents and training
  const { executionProviders, maxLoaded, ...serving } = env.language;
  const host = createThreadChatHost({ threads: env.threads, executionProviders });
  const policies = joinPolicyServers(store, {
    choice: createPolicyServer({ store, runtime }),
    [LANGUAGE_KIND]: createLanguagePolicyServer({ store, host, serving, maxLoaded }),
  });
  return { policies, runtime };
}
