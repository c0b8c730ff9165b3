/** Files of an application of Nitro that the page leaves out. */
export const NITRO_FILES: Readonly<Record<string, string>> = {
  'middleware/private.ts': `import { defineHandler } from 'h3';

export default defineHandler(({ url }) => {
  if (url.pathname.startsWith('/private/')) return new Response('who are you?\\n', { status: 401 });
});
`,
  'routes/index.ts': `import { defineHandler } from 'h3';

export default defineHandler(() => 'a page of Nitro\\n');
`,
  'routes/private/echo.ts': `export { default } from '../echo.ts';
`,
};
