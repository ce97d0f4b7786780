export type Attribute = string | number | boolean | readonly string[];

/** A timed operation, as a trace has it. None of its functions throws or waits. */
export interface Span {
  /** What a request says that is made in the course of it: W3C trace context, https://www.w3.org/TR/trace-context/. */
  readonly headers: Readonly<Record<string, string>>;
  rename(name: string): void;
  set(attributes: Readonly<Record<string, Attribute>>): void;
  /** The last that is said. @param error what went wrong on our side, if anything did. */
  end(error?: string): void;
}

/** Where spans go. src/adapters/otel/ has the one that exports them by OTLP; where nobody asks for traces there is none. */
export interface Tracer {
  /** @param header of the request that the operation answers: it goes on with the trace of whoever made it. */
  start(name: string, header: (name: string) => string | undefined): Span;
  /** Hands over what is left, for two seconds at most. */
  close(): Promise<void>;
}
