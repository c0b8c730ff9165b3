import process from 'node:process';

/** npm sends a signal twice, and so does a terminal with it. Later ones are meant, after so many ms. */
const REPEAT_MS = 2_000;

/** Installs the signals of the process that the user has started. */
export function onSignals(acts: {
  /** SIGTERM and SIGINT. The process ends after it. */
  close(): Promise<unknown>;
  /** SIGTERM and SIGINT again. The process ends after it. */
  kill(): void;
  /** SIGUSR2. */
  replace(): Promise<unknown>;
}): void {
  let first: number | undefined;
  const end = (): void => {
    if (first === undefined) {
      first = performance.now();
      void acts.close().then(() => process.exit());
    } else if (performance.now() - first > REPEAT_MS) {
      acts.kill();
      process.exit(1);
    }
  };
  process.on('SIGTERM', end).on('SIGINT', end);
  if (process.platform !== 'win32') {
    process.on('SIGUSR2', () => void acts.replace().catch((error) => console.error(error)));
  }
}
