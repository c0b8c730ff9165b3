/** What is wrong with a command line: its words are all that the user is shown, and the exit code is 2. */
export class UsageError extends Error {
  override name = 'UsageError';
}
