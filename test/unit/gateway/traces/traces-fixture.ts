import type { LocalSpoolOptions } from '../../../../src/adapters/spool/local-spool';
import { createSpoolDrain } from '../../../../src/gateway/recording/drain-spool';
import { createRewardWriter } from '../../../../src/gateway/recording/reward-writer';
import { createSpoolRecorder } from '../../../../src/gateway/recording/spool-recorder';
import type { Recorder } from '../../../../src/gateway/recording/recorder';
import type { Spool } from '../../../../src/gateway/recording/spool';
import {
  readConversations,
  type ConversationCall,
  type LiveConversation,
} from '../../../../src/trajectories/read-conversations';
import type { ObjectStore } from '../../../../src/storage/object-store';
import { createMemoryObjectStore } from '../../../fakes/memory-object-store';
import { createSpoolFixture } from '../../../helpers/spools';
import { collect } from '../../trajectories/live-store';
import type { Fixture } from '../gateway-fixture';
import { createFixture, NOW } from '../gateway-fixture';
import type { GatewayDeps } from '../../../../src/gateway/app';

export interface TracesFixture {
  readonly gateway: Fixture;
  readonly store: ObjectStore;
  readonly spool: Spool;
  /** A key of the agent `desk`. */
  readonly key: string;
  send(body: unknown, headers?: object): ReturnType<Fixture['post']>;
  /** What is in the store once the spool was drained. */
  conversations(): Promise<LiveConversation[]>;
  /** All calls of all conversations. */
  calls(): Promise<ConversationCall[]>;
  close(): Promise<void>;
}

/** A gateway that records as the one that users start: through a spool on disk, into a store. */
export async function createTracesFixture(
  overrides: Partial<GatewayDeps> = {},
  spoolOptions: Partial<LocalSpoolOptions> = {},
  around: (recorder: Recorder) => Recorder = (recorder) => recorder,
): Promise<TracesFixture> {
  const spools = await createSpoolFixture();
  const { spool } = spools.open(spoolOptions);
  const store = createMemoryObjectStore();
  const drain = createSpoolDrain({ spool, store });
  const recorder = around(createSpoolRecorder({ spool }));
  const gateway = await createFixture({
    recorder,
    rewards: createRewardWriter(store),
    now: () => NOW,
    ...overrides,
  });
  const key = await gateway.key({ role: 'agent', agent: 'desk' });
  const conversations = async (): Promise<LiveConversation[]> => {
    await spool.seal('now');
    await drain.drain();
    const query = { agent: 'desk', fromMs: NOW - 8 * 86_400_000, toMs: NOW + 86_400_000 };
    return collect(readConversations(store, { ...query, asOfMs: NOW + 86_400_000 }));
  };
  return {
    ...{ gateway, store, spool, key, conversations },
    calls: async () => (await conversations()).flatMap(({ calls }) => calls),
    send: (body, headers = {}) =>
      gateway.post('/v1/traces', key, body, { 'content-type': 'application/json', ...headers }),
    async close() {
      await drain.close(1_000);
      await spools.remove();
    },
  };
}
