/**
 * Retries `call` until a timer of 10 ms has run. Returns the error of the last call, or undefined. Promises that all
 * reject at once would starve timers and I/O.
 */
export async function retryUntilTimer(call: () => Promise<unknown>): Promise<unknown> {
  let timerRan = false;
  setTimeout(() => {
    timerRan = true;
  }, 10);
  let last: unknown;
  for (let i = 0; !timerRan; i++) {
    if (i === 100_000) throw new Error('no timer ran within 100,000 calls');
    last = await call().then(
      () => undefined,
      (error: unknown) => error,
    );
  }
  return last;
}
