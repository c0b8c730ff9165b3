import puppeteer from 'puppeteer-core';
import { finish, log, next, website } from '../trace.mjs';

const { server, port } = await website();
server.removeAllListeners('request');
server.on('request', (_request, response) => {
  response.setHeader('Content-Type', 'text/html');
  response.end('<title>a page</title><h1>heading</h1>');
});
const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM,
  args: ['--no-sandbox', '--disable-dev-shm-usage'],
});
// The transport over ws: a second connection, to the same browser.
const remote = await puppeteer.connect({ browserWSEndpoint: browser.wsEndpoint() });
const page = await remote.newPage();
page.on('console', (message) => log('console', message.text()));
await page.goto(`http://127.0.0.1:${port}/`);
log('page', await page.title(), await page.$eval('h1', (element) => element.textContent));
log('page', await page.evaluate(() => 'y'.repeat(3_000_000)));
log('page', await page.evaluate((text) => text.length, 'ü'.repeat(1_000_000)));
const answers = await Promise.all(
  Array.from({ length: 300 }, (_, i) => page.evaluate((n) => n * n, i)),
);
log('page', answers.join());
await page.evaluate(() => console.log('from the page'));
const error = await page
  .evaluate(() => Promise.reject(new Error('mine')))
  .catch((caught) => caught);
log('page', error.message.split('\n')[0]);
const image = await page.screenshot();
log('screenshot', image.subarray(0, 8), image.length > 1000);
const disconnected = next(remote, 'disconnected');
await remote.disconnect();
log('remote', remote.connected);
const again = await puppeteer.connect({ browserWSEndpoint: browser.wsEndpoint() });
const lost = next(again, 'disconnected');
await browser.close();
await Promise.all([disconnected, lost]);
log('again', again.connected);
const wrong = `ws://127.0.0.1:${port}/`;
const refused = await puppeteer.connect({ browserWSEndpoint: wrong }).catch((caught) => caught);
log('refused', refused.message ?? refused.error?.message.replace(port, 'PORT'));
finish();
