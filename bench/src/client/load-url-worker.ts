// A part of a load in a process of its own: answers what `ClientAnswers` says.
import { answer } from '../harness/child.ts';
import { LoadRun, type Opened, type ShareResult, type Standing } from './load-run.ts';
import type { Share } from './plan.ts';

/** What a client's process answers. */
export type ClientAnswers = {
  open: (share: Share) => Promise<Opened>;
  run: (nothing?: undefined) => Promise<ShareResult>;
  standing: (nothing?: undefined) => Standing;
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

// Ctrl-C reaches every process of the terminal: the command alone decides.
process.on('SIGINT', () => {});

answer({
  open,
  run: () => load.run(),
  standing: () => load.standing,
  stop: () => load.stop(),
} satisfies ClientAnswers);
