// `pnpm long browser`: a BrowserConn beside a bare WebSocket, in turns. Echoes of 16 bytes of text in
// Chromium; awaited writes in Chromium and Firefox, in a visible page and in a hidden one. The server
// is the same process for both.
import { launchChromium, launchChromiumTabs, type TabBrowser } from '@ws/tests/chromium';
import { commandLine } from '@ws/tests/command-line';
import { launchFirefox } from '@ws/tests/firefox';
import { startSite, until } from './page-site.ts';

const usage = `usage: pnpm long browser [--rounds <n>] [--messages <n>] [--mebibytes <n>]

  --rounds     measured rounds; default: 21
  --messages   echoes of a round; default: 10,000
  --mebibytes  MiB that a round writes, in messages of each size; default: 16
  --help       this text`;

const { number } = commandLine(usage, {
  rounds: { type: 'string', default: '21' },
  messages: { type: 'string', default: '10000' },
  mebibytes: { type: 'string', default: '16' },
});
const rounds = number('rounds', 1);
const messages = number('messages', 1);
const mebibytes = number('mebibytes', 1);

const MIB = 2 ** 20;
const SIZES = [64 * 1024, 1024];

/** Echoes `messages`, 64 at a time. Each way returns its messages per second. */
const ECHOES = `
  const TEXT = 'sixteen bytes ok';
  const IN_FLIGHT = 64;
  async function bare(messages) {
    const socket = new WebSocket('/echo');
    await new Promise((resolve) => { socket.onopen = resolve; });
    const start = performance.now();
    let sent = 0;
    let received = 0;
    await new Promise((resolve) => {
      socket.onmessage = ({ data }) => {
        if (data !== TEXT) throw new Error(data);
        if (++received === messages) resolve();
        else if (sent < messages) { sent++; socket.send(TEXT); }
      };
      while (sent < IN_FLIGHT) { sent++; socket.send(TEXT); }
    });
    const seconds = (performance.now() - start) / 1000;
    socket.close();
    return messages / seconds;
  }
  async function ours(messages) {
    const { dial } = await import('/standalone.js');
    const conn = await dial('/echo');
    const start = performance.now();
    let sent = 0;
    let received = 0;
    await new Promise((resolve) => {
      void conn.receive((message) => {
        if (message.text() !== TEXT) throw new Error(message.text());
        if (++received === messages) resolve();
        else if (sent < messages) { sent++; return conn.send(TEXT); }
      });
      while (sent < IN_FLIGHT) { sent++; void conn.send(TEXT); }
    });
    const seconds = (performance.now() - start) / 1000;
    await conn.close();
    return messages / seconds;
  }
`;

/**
 * Writes `count` messages of `size` bytes. Each way returns its seconds from the first write to the
 * answer of the server, which has read all of them by then. The bare one waits for no write.
 */
const WRITES = `
  async function bare(size, count) {
    const socket = new WebSocket(location.origin.replace('http', 'ws') + '/read/' + size * count);
    await new Promise((resolve) => { socket.onopen = resolve; });
    const bytes = new Uint8Array(size);
    const start = performance.now();
    for (let i = 0; i < count; i++) socket.send(bytes);
    await new Promise((resolve) => { socket.onmessage = resolve; });
    const seconds = (performance.now() - start) / 1000;
    socket.close();
    return seconds;
  }
  async function ours(size, count) {
    const { dial } = await import('/standalone.js');
    const conn = await dial('/read/' + size * count);
    const bytes = new Uint8Array(size);
    const start = performance.now();
    for (let i = 0; i < count; i++) await conn.send(bytes);
    await conn.readMessage();
    const seconds = (performance.now() - start) / 1000;
    await conn.close();
    return seconds;
  }
`;

type Way = 'bare' | 'ours';

const site = await startSite();
try {
  await echoes();
  console.log(
    '\nawaited writes of a BrowserConn, and a bare WebSocket that sends all at once, MiB/s:',
  );
  printRow(['browser', 'page', 'message', 'BrowserConn', 'bare', 'ratio']);
  await writes(await launchChromiumTabs(false));
  await writes(await launchFirefox());
} finally {
  await site.server.close({ timeout: 100 });
}

async function echoes(): Promise<void> {
  const browser = await launchChromium();
  try {
    const page = await browser.newPage();
    await page.goto(site.url);
    const devtools = await browser.newBrowserCDPSession();

    const cpuOfPages = async (): Promise<number> => {
      const { processInfo } = await devtools.send('SystemInfo.getProcessInfo');
      const pages = processInfo.filter(({ type }) => type === 'renderer');
      return pages.reduce((sum, { cpuTime }) => sum + cpuTime, 0);
    };

    const results = await inTurns(async (way) => {
      const before = await cpuOfPages();
      const script = `(async () => { ${ECHOES}; return ${way}(${messages}); })()`;
      const messagesPerSecond = await page.evaluate<number>(script);
      return { messagesPerSecond, cpu: (await cpuOfPages()) - before };
    });

    const speeds = results.map(({ bare, ours }) => ours.messagesPerSecond / bare.messagesPerSecond);
    // CPU of the process that runs the page.
    const costs = results.map(({ bare, ours }) => bare.cpu / ours.cpu);
    console.log(`16 B text, BrowserConn / bare WebSocket, Chromium ${browser.version()}:`);
    console.log(`messages per second: ${summary(speeds)}`);
    console.log(`messages per CPU second of the page's process: ${summary(costs)}`);
  } finally {
    await browser.close();
  }
}

async function writes(browser: TabBrowser): Promise<void> {
  try {
    const version = await browser.version();
    const page = await browser.newPage();
    await page.goto(site.url);
    for (const look of ['visible', 'hidden']) {
      if (look === 'hidden') await (await browser.newPage()).bringToFront();
      await until(page, `document.visibilityState === '${look}'`);
      for (const size of SIZES) {
        const results = await inTurns(async (way) => {
          const script = `(async () => { ${WRITES}; return ${way}(${size}, ${(mebibytes * MIB) / size}); })()`;
          return mebibytes / ((await page.evaluate(script)) as number);
        });
        const bare = results.map((result) => result.bare);
        const ours = results.map((result) => result.ours);
        const ratios = results.map((result) => result.ours / result.bare);
        const name = `${size / 1024} KiB`;
        printRow([version, look, name, summary(ours, 1), summary(bare, 1), summary(ratios)]);
      }
    }
  } finally {
    await browser.close();
  }
}

/** Runs both ways in each round. The other one is first in the next round. Round 0 warms up. */
async function inTurns<T>(run: (way: Way) => Promise<T>): Promise<Record<Way, T>[]> {
  const results: Record<Way, T>[] = [];
  for (let round = 0; round <= rounds; round++) {
    const first = round % 2 === 0 ? await run('bare') : undefined;
    const ours = await run('ours');
    results.push({ ours, bare: first ?? (await run('bare')) });
  }
  return results.slice(1);
}

/** The median, with the smallest and the largest. */
function summary(values: readonly number[], digits = 2): string {
  const sorted = values.toSorted((a, b) => a - b).map((value) => value.toFixed(digits));
  return `${sorted[sorted.length >> 1]} (${sorted[0]} to ${sorted.at(-1)})`;
}

function printRow(cells: readonly string[]): void {
  const widths = [24, 8, 8, 24, 24];
  console.log(cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' '));
}
