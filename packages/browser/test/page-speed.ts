// `pnpm long browser`: echoes of 16 bytes of text per second in Chromium, by a BrowserConn and by a
// bare WebSocket, in turns. The server is the same process for both.
import { launchChromium } from '@ws/tests/chromium';
import { commandLine } from '@ws/tests/command-line';
import { startSite } from './page-site.ts';

const usage = `usage: pnpm long browser [--rounds <n>] [--messages <n>]

  --rounds    measured rounds; default: 21
  --messages  messages of a round; default: 10,000
  --help      this text`;

const { number } = commandLine(usage, {
  rounds: { type: 'string', default: '21' },
  messages: { type: 'string', default: '10000' },
});
const [rounds, messages] = [number('rounds', 1), number('messages', 1)];

/** Echoes `messages`, 64 at a time. Each way returns its messages per second. */
const PAGE = `
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

/** Of one run. */
interface Cost {
  readonly messagesPerSecond: number;
  /** Seconds of CPU of the process that runs the page. */
  readonly cpu: number;
}

const site = await startSite();
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

  const run = async (name: 'bare' | 'ours'): Promise<Cost> => {
    const before = await cpuOfPages();
    const script = `(async () => { ${PAGE}; return ${name}(${messages}); })()`;
    const messagesPerSecond = await page.evaluate<number>(script);
    return { messagesPerSecond, cpu: (await cpuOfPages()) - before };
  };

  const speeds: number[] = [];
  const costs: number[] = [];
  // Round 0 warms up.
  for (let round = 0; round <= rounds; round++) {
    let bare: Cost;
    let ours: Cost;
    if (round % 2 === 0) {
      bare = await run('bare');
      ours = await run('ours');
    } else {
      ours = await run('ours');
      bare = await run('bare');
    }
    if (round === 0) continue;
    speeds.push(ours.messagesPerSecond / bare.messagesPerSecond);
    costs.push(bare.cpu / ours.cpu);
  }
  console.log(`16 B text, BrowserConn / bare WebSocket, Chromium ${browser.version()}:`);
  console.log(`messages per second: ${summary(speeds)}`);
  console.log(`messages per CPU second of the page's process: ${summary(costs)}`);
} finally {
  await browser.close();
  await site.server.close({ timeout: 100 });
}

/** The median, with the smallest and the largest. */
function summary(ratios: readonly number[]): string {
  const sorted = ratios.toSorted((a, b) => a - b).map((ratio) => ratio.toFixed(2));
  return `${sorted[sorted.length >> 1]} (${sorted[0]} to ${sorted.at(-1)})`;
}
