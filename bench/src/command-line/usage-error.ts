/** An invalid command line. The user sees its message alone, and the exit code is 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
