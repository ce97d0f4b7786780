import { Template } from '@huggingface/jinja';
import { z } from 'zod';
import { IntegrityError, InvalidInputError, describeError } from '../../../errors';
import type { Message, Tool } from '../../../schemas/message';
import { textOf } from '../../../schemas/message';
import { readFolderJson, type ModelFolder } from '../model-folder';
import type { TokenizerConfig } from './tokenizer';

export const CHAT_TEMPLATE_FILES = ['chat_template.jinja', 'chat_template.json'] as const;

export interface ChatTemplateInput {
  readonly messages: readonly Message[];
  readonly tools?: readonly Tool[] | null | undefined;
  /** Whether to end where the model is to go on. */
  readonly addGenerationPrompt?: boolean;
  /** What else a template asks for, such as `enable_thinking`. */
  readonly variables?: Readonly<Record<string, unknown>>;
}

/** A conversation as the one text that a model was trained to read: what transformers' apply_chat_template gives. */
export interface ChatTemplate {
  /** Its Jinja. */
  readonly source: string;
  /** @throws {InvalidInputError} with the template's own words if it refuses the conversation. */
  render(input: ChatTemplateInput): string;
  /** Whether the template says itself what the model writes ({% generation %}). */
  readonly marksGeneration: boolean;
  /** The same text, with GENERATION_START and GENERATION_END around what the model writes. */
  renderMarked(input: ChatTemplateInput): string;
}

// Unicode's noncharacters: never in text that is interchanged.
export const GENERATION_START = '\ufdd0';
export const GENERATION_END = '\ufdd1';

/**
 * @param source Jinja. @param config names of the special tokens, which templates use.
 * @throws {InvalidInputError} if it is no template.
 */
export function createChatTemplate(source: string, config: TokenizerConfig): ChatTemplate {
  const marked = markGeneration(source);
  const plain = compile(source);
  const marking = marked === source ? null : compile(marked);
  return {
    source,
    marksGeneration: marking !== null,
    render: (input) => render(plain, input, config),
    renderMarked: (input) => render(marking ?? plain, input, config),
  };
}

/**
 * The template of a model: chat_template.jinja, chat_template.json, or in tokenizer_config.json, where of several the one called `default` is
 * taken (`tool_use` is left alone: `default` is told of tools too).
 *
 * @throws {InvalidInputError} if there is none.
 */
export async function openChatTemplate(
  folder: ModelFolder,
  config: TokenizerConfig,
): Promise<ChatTemplate> {
  const files = await folder.list();
  const [jinja, json] = CHAT_TEMPLATE_FILES;
  if (files.includes(jinja)) {
    return createChatTemplate(Buffer.from(await folder.read(jinja)).toString('utf8'), config);
  }
  if (files.includes(json)) {
    const parsed = z
      .looseObject({ chat_template: z.string() })
      .safeParse(await readFolderJson(folder, json));
    if (parsed.success) return createChatTemplate(parsed.data.chat_template, config);
    throw new IntegrityError(`${json}: ${z.prettifyError(parsed.error)}`);
  }
  const { chat_template: template } = config;
  const source =
    typeof template === 'string'
      ? template
      : template?.find(({ name }) => name === 'default')?.template;
  if (source !== undefined) return createChatTemplate(source, config);
  throw new InvalidInputError(
    `the model has no chat template: put one into ${jinja}, or take a model that was trained to chat`,
    { context: { model: folder.name } },
  );
}

function compile(source: string): Template {
  try {
    return new Template(source);
  } catch (cause) {
    throw new InvalidInputError(
      `the chat template is not one that can be read: ${describeError(cause)}`,
      { cause },
    );
  }
}

/** Replaces the tags by the marks; as block tags do, each takes the blanks before it and the line break behind it along. */
function markGeneration(source: string): string {
  return source.replace(
    /(?:^[ \t]*)?\{%(-?)\s*(end)?generation\s*(-?)%\}\n?/gm,
    (_, left: string, end: string | undefined, right: string) =>
      `{{${left} "${end === undefined ? GENERATION_START : GENERATION_END}" ${right}}}`,
  );
}

function render(
  template: Template,
  { messages, tools, addGenerationPrompt = false, variables = {} }: ChatTemplateInput,
  config: TokenizerConfig,
): string {
  const specialTokens = Object.fromEntries(
    Object.entries(config).filter(
      ([key, value]) => key.endsWith('_token') && typeof value === 'string',
    ),
  );
  try {
    return template.render({
      ...specialTokens,
      ...variables,
      messages: messages.map(forTemplate),
      tools: (tools ?? []).length > 0 ? tools : null,
      documents: null,
      add_generation_prompt: addGenerationPrompt,
    });
  } catch (cause) {
    throw new InvalidInputError(
      `the model's chat template refused the conversation: ${describeError(cause)}`,
      { cause },
    );
  }
}

/**
 * A message as templates expect it: its text as a string, arguments of calls as objects and not as JSON, no field that is empty, since
 * templates ask whether fields are there.
 */
function forTemplate(message: Message): Record<string, unknown> {
  const { tool_calls: calls, ...rest } = message;
  return {
    ...rest,
    role: message.role === 'developer' ? 'system' : message.role,
    content: textOf(message),
    ...((calls ?? []).length > 0 && {
      tool_calls: calls?.map((call) => ({
        ...call,
        ...(call.function && {
          function: { ...call.function, arguments: parsedArguments(call.function.arguments) },
        }),
      })),
    }),
  };
}

/** What is no JSON stays the text that it is: a model may have written anything. */
function parsedArguments(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
