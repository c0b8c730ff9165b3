import process from 'node:process';
import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  type Page,
} from 'playwright-core';
import puppeteer, { type ConnectionTransport, type Browser as TabBrowser } from 'puppeteer-core';
import { findProgram } from '../kit/programs.ts';

export type {
  Browser,
  BrowserContext,
  BrowserContextOptions,
  ConnectionTransport,
  Page,
  TabBrowser,
};
export { puppeteer };

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];
const SHELL = 'chromium-headless-shell';
/** The sandbox does not work for root. The other flags prevent connections to other hosts. */
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

/** Reports whether to skip a browser suite, and prints the reason. Never with REQUIRE_PROGRAMS set. */
export function lacksChromium(): boolean {
  if (findChromium() !== undefined || process.env['REQUIRE_PROGRAMS']) return false;
  console.log('skipped: no chromium on the PATH or in CHROMIUM_BIN');
  return true;
}

/**
 * Starts Chromium without a window: `CHROMIUM_BIN`, or the first on the PATH. The caller closes it.
 *
 * @param without - Flags of the driver to leave out.
 */
export async function launchChromium(without: string[] = []): Promise<Browser> {
  return launch(findChromium(), without);
}

/**
 * Starts Chromium's headless shell, which is the engine without the rest of the browser: a page
 * takes less than half of the CPU time. Without a shell on the PATH, starts Chromium. The caller
 * closes it.
 *
 * @param flags - More flags of Chromium.
 */
export async function launchHeadlessShell(flags: string[] = []): Promise<Browser> {
  return launch(process.env['CHROMIUM_BIN'] || findProgram(SHELL) || findChromium(), [], flags);
}

async function launch(
  executablePath: string | undefined,
  without: string[] = [],
  flags: string[] = [],
): Promise<Browser> {
  if (executablePath === undefined) throw new Error('chromium: not on the PATH, nor CHROMIUM_BIN');
  return chromium.launch({
    executablePath,
    args: [...FLAGS, ...flags],
    ignoreDefaultArgs: without,
  });
}

/**
 * Starts Chromium so that a tab behind another one is hidden and its timers are throttled, as those of
 * users. Playwright shows each page as visible. The caller closes it.
 *
 * @param networkEnabled - Whether Chromium reports each message to the driver, which slows it down.
 */
export async function launchChromiumTabs(networkEnabled = true): Promise<TabBrowser> {
  const executablePath = findChromium();
  if (executablePath === undefined) throw new Error('chromium: not on the PATH, nor CHROMIUM_BIN');
  return puppeteer.launch({
    executablePath,
    args: FLAGS,
    networkEnabled,
    ignoreDefaultArgs: [
      '--disable-background-timer-throttling',
      '--disable-backgrounding-occluded-windows',
      '--disable-renderer-backgrounding',
    ],
  });
}

/** The path of Chromium: `CHROMIUM_BIN`, or the first on the PATH. */
export function findChromium(): string | undefined {
  return process.env['CHROMIUM_BIN'] || NAMES.map(findProgram).find((path) => path !== undefined);
}
