import { once } from 'node:events';
import { get } from 'node:http';
import { text } from 'node:stream/consumers';
import { connect, RequestStatus } from '@ws/obs';
import { axeFaults } from '@ws/tests/axe';
import { lacksChromium, launchHeadlessShell } from '@ws/tests/chromium';
import { type Example, rejectsWrongPort, startExample } from '@ws/tests/examples';
import { FakeObs, Refusal } from '@ws/tests/obs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/** A PNG of one grey pixel. */
const PIXEL =
  'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mOwBQAAPwA+rFkEhgAAAABJRU5ErkJggg==';

describe('examples/obs-switcher', () => {
  let example: Example;
  beforeAll(async () => void (example = await startExample('obs-switcher')));
  afterAll(() => example?.stop());

  async function fetchPage(path: string): Promise<{ status: number; type: string; body: string }> {
    const [response] = await once(get(example.url + path), 'response');
    const { statusCode, headers } = response;
    return { status: statusCode, type: headers['content-type'], body: await text(response) };
  }

  it('serves the page with its script, and nothing else', async () => {
    expect(await fetchPage('/')).toMatchObject({ status: 200, type: 'text/html; charset=utf-8' });
    const script = await fetchPage('/obs.js');
    expect(script.body).toContain('reconnectingObs');
    expect(script.body).not.toContain('node:');
    expect((await fetchPage('/server.ts')).status).toBe(404);
  });

  describe.skipIf(lacksChromium())('in a browser', () => {
    it('lists the scenes of an OBS that was not ready, and of another collection', async () => {
      let asked = 0;
      await using fake = await FakeObs.start({
        respond: {
          GetSceneList: () => {
            if (asked++ === 0) throw new Refusal(RequestStatus.NotReady, 'OBS is not ready.');
            const sceneName = `Scene ${asked}`;
            return { currentProgramSceneName: sceneName, scenes: [{ sceneIndex: 0, sceneName }] };
          },
          GetSourceScreenshot: () => ({ imageData: PIXEL }),
        },
      });
      const browser = await launchHeadlessShell();
      try {
        const page = await browser.newPage();
        await page.goto(`${example.url}/`);
        await page.getByLabel('Address').fill(fake.url);
        await page.getByRole('button', { name: 'Connect' }).click();
        await page.getByRole('button', { name: 'Scene 2', pressed: true }).waitFor();
        await page.getByText('connected', { exact: true }).waitFor();
        fake.emit('CurrentSceneCollectionChanged', { sceneCollectionName: 'Other' });
        await page.getByRole('button', { name: 'Scene 3', pressed: true }).waitFor();
      } finally {
        await browser.close();
      }
    });

    it('switches scenes and shows the program, and axe finds nothing serious', async () => {
      const shots: unknown[] = [];
      await using fake = await FakeObs.start({
        password: 'secret',
        respond: {
          GetSourceScreenshot: ({ sourceName }) => {
            // The first picture of this scene fails: the page takes the next one.
            const fails = sourceName === 'Camera' && !shots.includes('Camera');
            shots.push(sourceName);
            return fails ? undefined : { imageData: PIXEL };
          },
        },
      });
      const browser = await launchHeadlessShell();
      try {
        const page = await browser.newPage();
        const errors: string[] = [];
        page.on('pageerror', (error) => errors.push(String(error)));
        await page.goto(`${example.url}/`);
        const logIn = async (password: string): Promise<void> => {
          await page.getByLabel('Address').fill(fake.url);
          await page.getByLabel('Password').fill(password);
          await page.getByRole('button', { name: 'Connect' }).click();
        };
        const program = (name: string): Promise<void> =>
          page.getByRole('button', { name, pressed: true, exact: true }).waitFor();

        await logIn('wrong');
        await page.getByText('check the option password').waitFor();

        await logIn('secret');
        await page.getByText('connected', { exact: true }).waitFor();
        await program('Scene');
        await page.getByRole('button', { name: 'Camera' }).click();
        await program('Camera');
        expect(fake.requests).toContain('SetCurrentProgramScene');
        await page.getByAltText('The program: Camera').waitFor();
        expect(shots).toContain('Camera');

        // Another client changes the list, and the program.
        const other = await connect(fake.url, { password: 'secret' });
        await other.call('CreateScene', { sceneName: '<b>Break' });
        await page.getByRole('button', { name: '<b>Break' }).waitFor();
        await other.call('SetCurrentProgramScene', { sceneName: 'Scene' });
        await program('Scene');

        expect(await axeFaults(page)).toEqual([]);

        // The page connects again after the connection is lost.
        fake.requests.length = 0;
        fake.crash();
        await fake.requested('GetSceneList');
        await page.getByText('connected', { exact: true }).waitFor();
        expect(errors).toEqual([]);
      } finally {
        await browser.close();
      }
    });
  });

  rejectsWrongPort('obs-switcher');
});
