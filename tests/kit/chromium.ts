import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import process from 'node:process';
import { type Browser, chromium } from 'playwright-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];
/** No sandbox: it does not work for root. The others keep it from looking for hosts that are not ours. */
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-dev-shm-usage',
];

/** Says whether a suite in a browser is to be skipped, and prints why. With `CI` set it runs, and fails at the start. */
export function lacksChromium(): boolean {
  if (findChromium() !== undefined || process.env['CI']) return false;
  console.log('skipped: what needs a browser; no chromium on the PATH or in CHROMIUM_BIN');
  return true;
}

/** Starts it without a window: `CHROMIUM_BIN`, else the first on the PATH. Close it in the end. */
export async function launchChromium(): Promise<Browser> {
  const executablePath = findChromium();
  if (executablePath === undefined) throw new Error('chromium: not on the PATH, nor CHROMIUM_BIN');
  return chromium.launch({ executablePath, args: FLAGS });
}

function findChromium(): string | undefined {
  const { CHROMIUM_BIN, PATH = '' } = process.env;
  const found = NAMES.flatMap((name) => PATH.split(delimiter).map((folder) => join(folder, name)));
  return [...(CHROMIUM_BIN ? [CHROMIUM_BIN] : []), ...found].find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
