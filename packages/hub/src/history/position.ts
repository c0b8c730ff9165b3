/** The position of a message in the history of its room. */
export interface Position {
  /** Id of the history. Changes when the history is lost, for example by a restart. */
  readonly epoch: string;
  /** Grows with each message; an engine may skip numbers. */
  readonly offset: number;
}
