/** Which workflows go on: what they have written, and nobody has named yet, is not garbage. */
export interface OpenWorkflows {
  /**
   * Ids of the workflows that are running, paused or waiting for a person.
   *
   * @throws {TransientError} if the server does not answer.
   */
  openWorkflowIds(): Promise<ReadonlySet<string>>;
}
