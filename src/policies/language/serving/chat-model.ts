import { sha256Hex } from '../../../storage/digest';
import type { Message, Tool } from '../../../schemas/message';
import type { GenerationEngine } from '../generation/engine';
import type { FinishReason, TokenConstraint } from '../generation/generation';
import type { TokenSampling } from '../generation/sampling';
import { constrainTokens, type ConstrainedVocabulary } from '../constraints/token-constraint';
import { TokenTrie } from '../constraints/token-trie';
import { toolCallFormatOf, toolCallText } from '../constraints/tool-call-grammar';
import { renderPrompt, type ChatRenderer } from '../text/render-chat';
import { parseToolCalls } from '../text/tool-calls';

/** One turn that is asked of a model. Nothing but data: it travels to the thread that the model is on. */
export interface ChatCall {
  readonly messages: readonly Message[];
  readonly tools: readonly Tool[];
  /** Whether the answer has to be calls, of any tool or of this one. */
  readonly toolChoice: 'auto' | 'required' | { readonly tool: string };
  readonly sampling: TokenSampling;
  /** Integer in [0, 2^53). */
  readonly seed: number;
  /** null: to the end of the context. */
  readonly maxTokens: number | null;
  readonly stop: readonly string[];
  /** For the template, such as `enable_thinking`. */
  readonly variables: Readonly<Record<string, unknown>>;
}

export interface ChatAnswer {
  readonly message: Message;
  readonly finish: FinishReason | 'tool_calls';
  /** As the model read it. */
  readonly prompt: readonly number[];
  /** As drawn, the token that ends the turn included. */
  readonly tokens: readonly number[];
  /** ln of the probability that each was drawn with. */
  readonly logProbs: readonly number[];
  readonly rawLogProbs: readonly number[];
  /** Tokens of the prompt that need not be read again. */
  readonly cachedTokens: number;
}

export interface ChatOptions {
  readonly signal?: AbortSignal;
  /** Told of the text as it comes. */
  readonly onText?: (text: string) => void;
}

/** A model that answers conversations. */
export interface ChatModel {
  /** @throws as GenerationEngine.generate, and {InvalidInputError} if the template refuses the conversation. */
  chat(call: ChatCall, options?: ChatOptions): Promise<ChatAnswer>;
}

/** Sets of tools that are remembered. */
const MOST_CONSTRAINTS = 16;

export interface ChatModelParts extends ChatRenderer {
  readonly engine: GenerationEngine;
  readonly stopTokens: ReadonlySet<number>;
}

export function createChatModel({ engine, stopTokens, ...renderer }: ChatModelParts): ChatModel {
  const { tokenizer, template } = renderer;
  let vocabulary: ConstrainedVocabulary | null = null; // made when a call is first demanded
  /** By what is demanded: agents ask with the same tools again and again, and what was found of them is kept with them. */
  const constraints = new Map<string, TokenConstraint>();

  function constraintOf({ toolChoice, tools }: ChatCall): TokenConstraint | undefined {
    if (toolChoice === 'auto') return undefined;
    const key = JSON.stringify([toolChoice, tools]);
    const known = constraints.get(key);
    if (known !== undefined) return known;
    const format = toolCallFormatOf(template.source);
    const text = toolCallText(
      format,
      tools,
      toolChoice === 'required' ? undefined : toolChoice.tool,
    );
    const { vocabSize, bytesOf } = tokenizer;
    vocabulary ??= { trie: new TokenTrie(vocabSize, bytesOf), bytesOf, stopTokens };
    const constraint = constrainTokens(vocabulary, text);
    const [oldest] = constraints.keys();
    if (constraints.size >= MOST_CONSTRAINTS && oldest !== undefined) constraints.delete(oldest);
    constraints.set(key, constraint);
    return constraint;
  }

  return {
    async chat(call, { signal, onText } = {}) {
      const { messages, tools, variables, sampling, seed, maxTokens, stop } = call;
      const constraint = constraintOf(call);
      const prompt = renderPrompt(renderer, { messages, tools, variables });
      const generation = await engine.generate(
        { prompt, maxTokens, sampling, seed, stopTokens, stopStrings: stop, constraint },
        {
          ...(signal && { signal }),
          ...(onText && { onToken: (_, text) => text !== '' && onText(text) }),
        },
      );
      const { tokens, logProbs, rawLogProbs, cachedTokens } = generation;
      const names = tools.flatMap((tool) => (tool.function ? [tool.function.name] : []));
      const parsed = parseToolCalls(
        generation.text,
        names,
        sha256Hex(`${seed}:${prompt.join()}:${tokens.join()}`),
      );
      const isCall = parsed.calls.length > 0;
      return {
        message: {
          role: 'assistant',
          content: isCall && parsed.content === '' ? null : parsed.content,
          ...(isCall && { tool_calls: [...parsed.calls] }),
        },
        finish: isCall ? 'tool_calls' : generation.finish,
        ...{ prompt, tokens, logProbs, rawLogProbs, cachedTokens },
      };
    },
  };
}
