import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Obs } from '@ws/obs';
import { launchHeadlessShell } from '@ws/tests/chromium';
import { startExample } from '@ws/tests/examples';

const PICTURES = join(import.meta.dirname, '../../../../.out/screenshots');

/** A scene with one colour, and a text on it. */
const SCENES = [
  ['Camera', 0xff_4f_46_1a, 'Camera'],
  ['Slides', 0xff_7a_3d_10, 'Slides'],
  ['Break', 0xff_1d_2d_8a, 'Back in five minutes'],
] as const;

/** Makes scenes with something to see. The caller has an empty OBS. */
export async function makeScenes(obs: Obs): Promise<void> {
  for (const [sceneName, color, text] of SCENES) {
    await obs.call('CreateScene', { sceneName });
    await obs.call('CreateInput', {
      sceneName,
      inputName: `${sceneName} background`,
      inputKind: 'color_source_v3',
      inputSettings: { color, width: 320, height: 240 },
    });
    const { sceneItemId } = await obs.call('CreateInput', {
      sceneName,
      inputName: `${sceneName} text`,
      inputKind: 'text_ft2_source_v2',
      inputSettings: { text, font: { face: 'DejaVu Sans', size: 28, style: 'Book', flags: 0 } },
    });
    const sceneItemTransform = { positionX: 20, positionY: 100 };
    await obs.call('SetSceneItemTransform', { sceneName, sceneItemId, sceneItemTransform });
  }
}

/** What the page of examples/obs-switcher shows after a click on a scene. */
export interface SwitcherPage {
  /** The buttons, and the one that is pressed. */
  readonly scenes: readonly string[];
  readonly pressed: string;
  /** The size of the picture of the program, and the colour of its first pixel. */
  readonly picture: { readonly width: number; readonly height: number; readonly pixel: number[] };
}

/** Opens the page, connects it to OBS and clicks on the scene. */
export async function switchByPage(
  url: string,
  password: string,
  scene: string,
): Promise<SwitcherPage> {
  const example = await startExample('obs-switcher');
  const browser = await launchHeadlessShell();
  try {
    const page = await browser.newPage({ viewport: { width: 800, height: 560 } });
    await page.goto(`${example.url}/`);
    await page.getByLabel('Address').fill(url);
    await page.getByLabel('Password').fill(password);
    await page.getByRole('button', { name: 'Connect' }).click();
    await page.getByRole('button', { name: scene, exact: true }).click();
    await page.getByRole('button', { name: scene, exact: true, pressed: true }).waitFor();
    await page.getByAltText(`The program: ${scene}`).waitFor();
    await mkdir(PICTURES, { recursive: true });
    await page.screenshot({ path: join(PICTURES, 'obs-switcher.png') });
    return await page.evaluate(`(async () => {
      const image = document.querySelector('img');
      await image.decode();
      const canvas = document.createElement('canvas');
      const context = canvas.getContext('2d');
      context.drawImage(image, 0, 0);
      const buttons = [...document.querySelectorAll('#scenes button')];
      return {
        scenes: buttons.map(({ textContent }) => textContent),
        pressed: document.querySelector('[aria-pressed=true]').textContent,
        picture: {
          width: image.naturalWidth,
          height: image.naturalHeight,
          pixel: [...context.getImageData(0, 0, 1, 1).data],
        },
      };
    })()`);
  } finally {
    await browser.close();
    await example.stop();
  }
}
