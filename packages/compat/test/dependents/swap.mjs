// Makes every import and require of ws load this package: what an override in package.json does.
import Module, { register } from 'node:module';

const copies = new URL('../../dist/', import.meta.url);
const commonJs = new URL('index.cjs', copies).pathname;

const resolve = Module._resolveFilename;
Module._resolveFilename = (request, ...others) =>
  request === 'ws' ? commonJs : resolve(request, ...others);
register('./swap-hook.mjs', import.meta.url, { data: new URL('index.js', copies).href });
process.on('exit', () => {
  const loaded = Object.keys(Module._cache);
  const theirs = loaded.filter((path) => path.includes('/node_modules/ws/'));
  process.stderr.write(`compat ${loaded.includes(commonJs)}, ws ${theirs.length > 0}\n`);
});
