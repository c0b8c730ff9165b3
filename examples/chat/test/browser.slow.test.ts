// The demo in a real browser. `pnpm long slow` also takes screenshots, into .out/screenshots/ of the workspace.
import { fileURLToPath } from 'node:url';
import { ownPort, rounds } from '@ws/tests';
import { axeFaults } from '@ws/tests/axe';
import {
  type Browser,
  type BrowserContextOptions,
  lacksChromium,
  launchHeadlessShell,
  type Page,
} from '@ws/tests/chromium';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Program, startProgram } from './program.ts';
import { Visitor } from './visitor.ts';

const screenshots = fileURLToPath(new URL('../../../.out/screenshots/', import.meta.url));

const WIDE: BrowserContextOptions = { viewport: { width: 1280, height: 800 } };
const PHONE: BrowserContextOptions = {
  viewport: { width: 390, height: 844 },
  hasTouch: true,
  isMobile: true,
};
const SMALL_PHONE: BrowserContextOptions = { ...PHONE, viewport: { width: 360, height: 640 } };
const DARK: BrowserContextOptions = { colorScheme: 'dark' };
/** Timeout of a test on a busy machine. */
const PATIENCE_MS = 60_000;

describe.skipIf(lacksChromium())('the chat page', () => {
  let program: Program;
  let browser: Browser;
  const errors: string[] = [];

  beforeAll(async () => {
    const port = `${await ownPort()}`;
    [program, browser] = await Promise.all([startProgram(port), launchHeadlessShell()]);
  }, PATIENCE_MS);
  afterAll(async () => {
    await browser?.close();
    await program?.stop();
  });

  afterEach(async () => {
    await Promise.all(browser.contexts().map((context) => context.close()));
  });

  /** Opens the page for a new visitor and waits until it is connected. */
  async function open(
    name: string,
    options: BrowserContextOptions = WIDE,
    prepare: (page: Page) => Promise<unknown> = async () => {},
  ): Promise<Page> {
    const context = await browser.newContext(options);
    await context.addInitScript(`localStorage.setItem('chat.name', ${JSON.stringify(name)})`);
    const page = await context.newPage();
    page.on('pageerror', (error) => errors.push(String(error)));
    page.on('console', (message) => {
      if (/Content.Security.Policy/i.test(message.text())) errors.push(message.text());
    });
    await prepare(page);
    await page.goto(program.url);
    await isState(page, 'open');
    return page;
  }

  const isState = (page: Page, state: string): Promise<unknown> =>
    page.waitForSelector(`html[data-state=${state}]`);

  const sees = (page: Page, text: string): Promise<void> =>
    page.locator('#messages').getByText(text, { exact: true }).waitFor();

  /** Sends a message with the keyboard only. */
  async function say(page: Page, text: string): Promise<void> {
    await page.getByLabel('Message', { exact: true }).focus();
    await page.keyboard.type(text);
    await page.keyboard.press('Enter');
  }

  const tooWide = (page: Page): Promise<number> =>
    page.evaluate('document.documentElement.scrollWidth - innerWidth');

  const hereNow = (page: Page): Promise<string[]> => page.locator('#people bdi').allInnerTexts();

  /** Nothing asserts on a screenshot, and each takes half a second. */
  async function shoot(page: Page, name: string): Promise<void> {
    if (rounds(true, false)) return;
    await page.screenshot({ path: `${screenshots}${name}.png`, animations: 'disabled' });
  }

  it('shows a message of one window in the other', { timeout: PATIENCE_MS }, async () => {
    const ada = await open('Ada');
    await shoot(ada, 'empty-wide');
    const grace = await open('Grace', { ...PHONE, ...DARK });
    await shoot(grace, 'empty-phone-dark');
    await ada.locator('#people bdi').nth(1).waitFor();
    expect(await hereNow(ada)).toEqual(['Ada', 'Grace']);
    expect(await hereNow(grace)).toEqual(['Grace', 'Ada']);
    expect(await ada.locator('#count').innerText()).toBe('2');

    await say(ada, 'hello <img src=x onerror=alert(1)> & welcome');
    await sees(grace, 'hello <img src=x onerror=alert(1)> & welcome');
    expect(await grace.locator('#messages img').count()).toBe(0);
    await say(grace, 'a word without an end: ' + 'o'.repeat(200));
    await sees(ada, 'a word without an end: ' + 'o'.repeat(200));
    await ada.locator('.own:not(.pending)').waitFor();
    expect(await ada.locator('.own').count()).toBe(1);

    expect(await tooWide(grace)).toBe(0);
    expect(await ada.locator('#rtt').innerText()).toMatch(/^\d+(\.\d)? ms$/);
    await shoot(ada, 'chat-wide');
    await shoot(grace, 'chat-phone-dark');

    await grace.context().close();
    await ada.locator('#people li').nth(1).waitFor({ state: 'detached' });
    expect(await hereNow(ada)).toEqual(['Ada']);
  });

  it('lets a visitor change the name, and remembers it', { timeout: PATIENCE_MS }, async () => {
    const ada = await open('Ada');
    await ada.getByLabel('Your name').fill('Countess of Lovelace');
    await ada.keyboard.press('Enter');
    await ada.locator('#people').getByText('Countess of Lovelace').waitFor();
    const kept = await ada.evaluate(`localStorage.getItem('chat.name')`);
    expect(kept).toBe('Countess of Lovelace');
  });

  it('echoes what the browser’s own WebSocket sends', { timeout: PATIENCE_MS }, async () => {
    const page = await open('Echo');
    expect(await page.evaluate(ECHO)).toEqual({
      text: true,
      long: true,
      empty: true,
      binary: true,
      large: true,
      code: 1000,
      wasClean: true,
    });
  });

  it('N20 reconnects after a restart of the server, and shows no wait as a round trip', {
    timeout: PATIENCE_MS,
  }, async () => {
    const [ada, grace] = await Promise.all([open('Ada'), open('Grace', SMALL_PHONE)]);
    await say(ada, 'before');
    await sees(grace, 'before');
    await ada.getByLabel('Message', { exact: true }).fill('written while it was away');
    expect(await program.stop()).toBe(0);
    await Promise.all([isState(ada, 'reconnecting'), isState(grace, 'reconnecting')]);
    expect(await ada.locator('#state').innerText()).toBe('Reconnecting');
    await sees(grace, 'The server went away');
    expect(await ada.locator('#count').innerText()).toBe('–');
    await ada.keyboard.press('Enter');
    expect(await ada.locator('#text').inputValue()).toBe('');
    expect(await ada.locator('.pending').innerText()).toContain('written while it was away');
    await shoot(ada, 'reconnecting-wide');
    await shoot(grace, 'reconnecting-phone');
    expect(await tooWide(grace)).toBe(0);

    program = await startProgram(program.port);
    await Promise.all([isState(ada, 'open'), isState(grace, 'open')]);
    await sees(ada, 'Back online');
    await sees(grace, 'before');
    await sees(grace, 'written while it was away');
    await ada.locator('.own:not(.pending)').nth(1).waitFor();
    expect(await ada.locator('#rtt').innerText()).toBe('');
    await shoot(grace, 'back-phone');
  });

  it('resends messages that were lost with a connection', { timeout: PATIENCE_MS }, async () => {
    let connections = 0;
    const [ada, grace] = await Promise.all([
      open('Ada', WIDE, (page) =>
        page.routeWebSocket(/chat\?/, (route) => {
          const lossy = ++connections === 1;
          const server = route.connectToServer();
          route.onMessage((message) => {
            if (lossy && String(message).includes('"room.publish"'))
              void route.close({ code: 1012 });
            else server.send(message);
          });
        }),
      ),
      open('Grace'),
    ]);
    await say(ada, 'said into the void');
    await sees(grace, 'said into the void');
    await ada.locator('.own:not(.pending)').waitFor();
    await say(ada, 'and once more');
    await sees(grace, 'and once more');
    expect(await grace.getByText('said into the void').count()).toBe(1);
    expect(await ada.getByText('said into the void').count()).toBe(1);
    expect(connections).toBe(2);
  });

  it('shows a refused text in the input again', { timeout: PATIENCE_MS }, async () => {
    const ada = await open('Ada');
    // The server removes the character, and nothing is left.
    await ada.evaluate(`
      document.getElementById('text').value = '\\u0007';
      document.getElementById('composer').requestSubmit();
    `);
    await ada.getByRole('alert').getByText('A message has 1 to 2000 characters').waitFor();
    await ada.locator('.own').first().waitFor({ state: 'detached' });
    expect(await ada.locator('#text').inputValue()).toBe('\u0007');
  });

  it('does not scroll for a visitor who reads older messages', {
    timeout: PATIENCE_MS,
  }, async () => {
    const ada = await open('Ada', PHONE);
    const bob = await Visitor.join(program.ws, 'Bob');
    for (let i = 0; i < 12; i++) bob.say('line\n'.repeat(8) + i, `scroll-${i}`);
    const log = `document.getElementById('log')`;
    const fromBottom = (): Promise<number> =>
      ada.evaluate(`${log}.scrollHeight - ${log}.scrollTop - ${log}.clientHeight`);
    await ada.locator('[data-key=scroll-11]').waitFor();
    expect(await fromBottom()).toBeLessThan(2);

    await ada.evaluate(
      `new Promise((done) => { ${log}.addEventListener('scroll', done); ${log}.scrollTop = 9; })`,
    );
    bob.say('something new', 'scroll-new');
    await ada.getByRole('button', { name: 'New messages' }).waitFor();
    expect(await ada.evaluate(`${log}.scrollTop`)).toBe(9);
    await ada.getByRole('button', { name: 'New messages' }).click();
    await ada.getByRole('button', { name: 'New messages' }).waitFor({ state: 'hidden' });
    expect(await fromBottom()).toBeLessThan(2);
    bob.socket.close();
  });

  it('stays disconnected until the visitor reconnects', { timeout: PATIENCE_MS }, async () => {
    const [ada, linus] = await Promise.all([open('Ada'), open('Linus')]);
    const linusIsHere = ada.locator('#people').getByText('Linus', { exact: true });
    await linusIsHere.waitFor();
    await linus.getByRole('button', { name: 'Disconnect' }).click();
    await isState(linus, 'closed');
    await linusIsHere.waitFor({ state: 'detached' });
    await linus.getByRole('button', { name: 'Connect' }).click();
    await isState(linus, 'open');
    await linusIsHere.waitFor();
  });

  it.each([
    { look: 'wide-dark', options: { ...WIDE, ...DARK } },
    { look: 'phone', options: PHONE },
  ])('has no fault that axe finds ($look)', { timeout: PATIENCE_MS }, async ({ look, options }) => {
    const [ada, grace] = await Promise.all([open('Ada', options), open('Grace')]);
    await say(grace, `Is ${look} easy to read?`);
    await sees(ada, `Is ${look} easy to read?`);
    await say(ada, `For axe, ${look} is.`);
    await sees(grace, `For axe, ${look} is.`);
    expect(await axeFaults(ada)).toEqual([]);
    if (await ada.locator('#toggle').isVisible()) {
      await ada.locator('#toggle').press('Enter');
      await ada.getByLabel('Your name').waitFor();
      expect(await axeFaults(ada)).toEqual([]);
      await shoot(ada, `people-${look}`);
      await ada.keyboard.press('Escape');
      await ada.getByLabel('Your name').waitFor({ state: 'hidden' });
    }
  });

  it('causes no error in the browser', () => {
    expect(errors).toEqual([]);
  });
});

/** Runs in the page. */
const ECHO = `(async () => {
  const socket = new WebSocket(location.origin.replace('http', 'ws') + '/echo');
  socket.binaryType = 'arraybuffer';
  const next = (type) => new Promise((resolve, reject) => {
    socket.addEventListener(type, resolve, { once: true });
    socket.addEventListener('error', reject, { once: true });
  });
  const echo = async (data) => {
    const answer = next('message');
    socket.send(data);
    return (await answer).data;
  };
  const bytes = (n) => Uint8Array.from({ length: n }, (_, i) => i % 251);
  const same = (a, b) => a.byteLength === b.length && new Uint8Array(a).every((byte, i) => byte === b[i]);
  await next('open');
  const long = 'grüße 🌍 '.repeat(20000);
  const result = {
    text: (await echo('hello')) === 'hello',
    long: (await echo(long)) === long,
    empty: (await echo('')) === '',
    binary: same(await echo(bytes(300)), bytes(300)),
    large: same(await echo(bytes(1000000)), bytes(1000000)),
  };
  const closed = next('close');
  socket.close(1000);
  const { code, wasClean } = await closed;
  return { ...result, code, wasClean };
})()`;
