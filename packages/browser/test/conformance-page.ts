// The client of a conformance suite: a page that echoes every case. Arguments: `ours`, or `bare` for
// a WebSocket without the package; then the URL.
import process from 'node:process';
import { launchHeadlessShell } from '@ws/tests/chromium';
import { startSite } from './page-site.ts';

const [mode, url] = process.argv.slice(-2);
const site = await startSite();
const browser = await launchHeadlessShell();
try {
  const page = await browser.newPage();
  await page.goto(site.url);
  await page.evaluate(`(async () => {
    const { dial } = await import('/standalone.js');
    const subprotocols = ['a', 'b'];
    const ours = async (url) => {
      const conn = await dial(url, { readLimit: 64 * 2 ** 20, subprotocols });
      await conn.receive((message) => conn.send(message)).catch(() => {});
      await conn.closed;
    };
    const echoes = {
      bare: (url) => new Promise((done) => {
        const socket = new WebSocket(url, subprotocols);
        socket.binaryType = 'arraybuffer';
        socket.onmessage = ({ data }) => socket.send(data);
        socket.onclose = done;
      }),
      ours,
    };
    const url = ${JSON.stringify(url)};
    const first = await dial(url + '/getCaseCount');
    const count = Number((await first.readMessage()).text());
    await first.closed;
    const echo = echoes[${JSON.stringify(mode)}];
    for (let n = 1; n <= count; n++) await echo(url + '/runCase?case=' + n).catch(() => {});
  })()`);
} finally {
  await browser.close();
  await site.server.close({ timeout: 100 });
}
