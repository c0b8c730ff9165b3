/**
 * Calls `failed` when `result` is a promise that rejects: the result of a function that returns
 * nothing by contract. Unhandled, the rejection would end the process.
 */
export function onRejection(result: unknown, failed: (error: unknown) => void): void {
  if (typeof result === 'object' && result !== null)
    Promise.resolve(result).then(undefined, failed);
}
