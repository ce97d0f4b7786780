import { messageId } from '../gateway/recording/message-id';
import type { RecordedCall } from '../gateway/recording/recorder';
import type { Redaction } from '../gateway/recording/redaction';
import { RecentMap } from '../gateway/recent-map';
import type { Decision } from '../schemas/decision';
import type { Message, Tool } from '../schemas/message';
import { privacySettings, type PrivacyConfig } from '../schemas/privacy-config';
import { canonicalJson } from '../storage/canonical-json';
import { sha256Hex } from '../storage/digest';
import { createPlaceholders } from './placeholder';
import { createRedactor, type Redactor } from './redactor';

/** Ids of messages without anything to replace; about 5 MB. Agents send their whole history with each call. */
const KEPT_CLEAN = 16_384;
/** Messages that were replaced, of at most so many characters. */
const KEPT_CHANGED = 1_024;
const MAX_KEPT_LENGTH = 16_384;
/** Texts of sessions' names. */
const KEPT_NAMES = 2_048;

interface Replaced {
  readonly id: string;
  readonly message: Message;
}

interface AgentRedaction {
  readonly redactor: Redactor;
  readonly clean: RecentMap<string, true>;
  readonly changed: RecentMap<string, Replaced>;
  readonly toolsets: WeakMap<
    readonly Tool[],
    { readonly id: string; readonly tools: readonly Tool[] } | 'clean'
  >;
}

/**
 * The redaction of one installation.
 *
 * @param key 32 bytes, secret, the same for every process whose records are read together: placeholders are made with it.
 * @throws {InvalidInputError} if a pattern of the configuration is not valid: at once, not with the first call.
 */
export function createRedaction(config: PrivacyConfig, key: Uint8Array): Redaction {
  const placeholder = createPlaceholders(key);
  const counts = new Map<string, Map<string, number>>();
  const agents = new Map<string, AgentRedaction>();

  const create = (agent: string | null): AgentRedaction => {
    const name = agent ?? NO_AGENT;
    const onReplaced = (kind: string): void => {
      const own = counts.get(name) ?? new Map<string, number>();
      counts.set(name, own.set(kind, (own.get(kind) ?? 0) + 1));
    };
    return {
      redactor: createRedactor(privacySettings(config, agent), placeholder, onReplaced),
      clean: new RecentMap(KEPT_CLEAN),
      changed: new RecentMap(KEPT_CHANGED),
      toolsets: new WeakMap(),
    };
  };
  for (const agent of Object.keys(config.agents)) agents.set(agent, create(agent));
  const forNone = create(null);
  const forAgent = (agent: string | null): AgentRedaction => {
    if (agent === null) return forNone;
    let own = agents.get(agent);
    if (own === undefined) agents.set(agent, (own = create(agent))); // agents are as many as keys name
    return own;
  };

  const names = new RecentMap<string, string>(KEPT_NAMES);

  return {
    call({ user, ...call }) {
      const own = forAgent(call.agent);
      const redacted = redactMessages(own, call.messages);
      const toolset = redactTools(own, call);
      const { decision } = call;
      const isChanged = redacted !== null || toolset !== null;
      return {
        ...call,
        ...(redacted === null ? {} : { messages: redacted.messages }),
        ...(toolset === null ? {} : { tools: toolset.tools }),
        decision: {
          ...withIds(decision, redacted?.ids ?? null, toolset?.id ?? null),
          ...heldConversation(own, decision),
          ...(isChanged ? withoutTokens(decision) : {}),
          ...(user === undefined ? {} : { user: placeholder('user', user) }),
        },
      };
    },

    text: (agent, text) => forAgent(agent).redactor.text(text),
    json: (agent, value) => forAgent(agent).redactor.json(value),

    sessionName(agent, name) {
      const known = names.get(`${agent ?? ''} ${name}`);
      if (known !== undefined) return known;
      const redacted = privacySettings(config, agent).hideSessionNames
        ? placeholder('session', name)
        : forAgent(agent).redactor.text(name);
      names.set(`${agent ?? ''} ${name}`, redacted);
      return redacted;
    },

    user: (name) => placeholder('user', name),
    counts: () => counts,
  };
}

const NO_AGENT = '(none)';

/** @param messages by their ids, which are hashes of what they say: what was seen before is not searched again. @returns null if nothing changed. */
function redactMessages(
  { redactor, clean, changed }: AgentRedaction,
  messages: ReadonlyMap<string, Message>,
): { readonly messages: Map<string, Message>; readonly ids: ReadonlyMap<string, string> } | null {
  const ids = new Map<string, string>();
  const replaced = new Map<string, Message>();
  for (const [id, message] of messages) {
    if (clean.get(id) === true) continue;
    let known = changed.get(id);
    if (known === undefined) {
      const redacted = redactor.json(message);
      if (redacted === message) {
        clean.set(id, true);
        continue;
      }
      known = { id: messageId(redacted), message: redacted };
      if (lengthOf(redacted) <= MAX_KEPT_LENGTH) changed.set(id, known);
    }
    ids.set(id, known.id);
    replaced.set(id, known.message);
  }
  if (ids.size === 0) return null;
  const all = new Map<string, Message>();
  for (const [id, message] of messages) all.set(ids.get(id) ?? id, replaced.get(id) ?? message);
  return { messages: all, ids };
}

function lengthOf(message: Message): number {
  return JSON.stringify(message).length;
}

function redactTools(
  { redactor, toolsets }: AgentRedaction,
  { decision, tools }: RecordedCall,
): { readonly id: string; readonly tools: readonly Tool[] } | null {
  if (decision.toolset === null || tools === null) return null;
  let known = toolsets.get(tools);
  if (known === undefined) {
    const redacted = redactor.json(tools);
    known =
      redacted === tools ? 'clean' : { id: sha256Hex(canonicalJson(redacted)), tools: redacted };
    toolsets.set(tools, known);
  }
  return known === 'clean' ? null : known;
}

function withIds(
  decision: Decision,
  ids: ReadonlyMap<string, string> | null,
  toolset: string | null,
): Decision {
  if (ids === null) return toolset === null ? decision : { ...decision, toolset };
  const idOf = (id: string): string => ids.get(id) ?? id;
  const { alternatives } = decision;
  return {
    ...decision,
    context: decision.context.map(idOf),
    output: idOf(decision.output),
    ...(alternatives === undefined ? {} : { alternatives: alternatives.map(idOf) }),
    ...(toolset === null ? {} : { toolset }),
  };
}

/** What the client calls the conversation that an upstream holds; the same name stays the same one. */
function heldConversation({ redactor }: AgentRedaction, { upstream }: Decision): Partial<Decision> {
  if (upstream?.conversationId === undefined && upstream?.previousId === undefined) return {};
  const { conversationId, previousId } = upstream;
  return {
    upstream: {
      ...upstream,
      ...(conversationId === undefined ? {} : { conversationId: redactor.text(conversationId) }),
      ...(previousId === undefined ? {} : { previousId: redactor.text(previousId) }),
    },
  };
}

/** Token ids say word for word what was replaced: those of the prompt hold the messages and the tools, and an answer cannot be trained on without. */
function withoutTokens({ sampled }: Decision): Partial<Decision> {
  if (sampled.kind !== 'text' || sampled.tokens === null) return {};
  return { sampled: { ...sampled, tokens: null }, untrainable: 'redacted' };
}
