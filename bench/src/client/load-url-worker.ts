// Runs one part of a load in its own process. See `ClientAnswers`.
import { answer } from '../harness/child.ts';
import { type LoadProgress, LoadRun, type Opened, type ShareResult } from './load-run.ts';
import type { Share } from './plan.ts';

/** The requests that the process answers. */
export type ClientAnswers = {
  open: (share: Share) => Promise<Opened>;
  run: (nothing?: undefined) => Promise<ShareResult>;
  progress: (nothing?: undefined) => LoadProgress;
  stop: (nothing?: undefined) => void;
};

let load: LoadRun;

async function open(share: Share): Promise<Opened> {
  try {
    load = new LoadRun(share);
    return await load.open();
  } catch (error) {
    return { open: 0, failures: {}, refused: (error as Error).message };
  }
}

// A terminal sends Ctrl-C to every process. The command alone reacts to it.
process.on('SIGINT', () => {});

answer({
  open,
  run: () => load.run(),
  progress: () => load.progress,
  stop: () => load.stop(),
} satisfies ClientAnswers);
