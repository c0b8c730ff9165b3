// `node --conditions=@ws/source --import tsx examples/chat/test/picture.ts`: the picture of README.md. The network of
// a page is away, then the page shows what it has missed.
import { Network } from '@ws/tests';
import { launchChromium, type Page } from '@ws/tests/chromium';
import { startProgram } from './program.ts';

const FILE = 'docs/pictures/chat.png';
const SIZE = { width: 560, height: 420 };

const program = await startProgram();
const network = await Network.to(Number(program.port));
const browser = await launchChromium();

async function open(name: string, port: number | string): Promise<Page> {
  const context = await browser.newContext({ viewport: SIZE });
  await context.addInitScript(`localStorage.setItem('chat.name', '${name}')`);
  const page = await context.newPage();
  await page.goto(`http://localhost:${port}/`);
  await page.locator('#state', { hasText: 'Open' }).waitFor();
  return page;
}

async function say(page: Page, text: string): Promise<void> {
  await page.fill('#text', text);
  await page.press('#text', 'Enter');
  await page.locator('#messages', { hasText: text }).waitFor();
}

const shot = async (page: Page): Promise<string> => (await page.screenshot()).toString('base64');

try {
  const ann = await open('Ann', program.port);
  const bob = await open('Bob', network.port);
  await say(ann, 'The train leaves at nine.');
  await say(bob, 'See you there!');
  await network.cut();
  await bob.locator('#state', { hasText: 'Reconnecting' }).waitFor();
  await say(ann, 'Platform four.');
  await say(ann, 'No, they say platform six.');
  const away = await shot(bob);
  network.mend();
  await bob.locator('#messages', { hasText: 'platform six' }).waitFor();
  const back = await shot(bob);
  const page = await (
    await browser.newContext({ viewport: { width: 1160, height: 480 } })
  ).newPage();
  const figure = (image: string, caption: string): string =>
    `<figure><img src="data:image/png;base64,${image}"><figcaption>${caption}</figcaption></figure>`;
  await page.setContent(`<style>
    body { display: flex; gap: 20px; margin: 10px; background: #fff; font: 18px sans-serif }
    figure { margin: 0 } img { border: 1px solid #ccc; border-radius: 8px } figcaption { padding: 6px }
  </style>${figure(away, 'Bob’s network is away')}${figure(back, 'It is back: nothing is missing, nothing came twice')}`);
  await page.screenshot({ path: FILE });
} finally {
  await browser.close();
  await network.close();
  await program.stop();
}
