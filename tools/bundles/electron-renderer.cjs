// The globals of a renderer of Electron with nodeIntegration: those of a page and of Node in one realm. `setTimeout` is that
// of the page. Then it runs the program of its argument.
const process = require('node:process');

Object.defineProperty(process.versions, 'electron', { value: '42.0.0' });
process.type = 'renderer';
const events = new EventTarget();
const page = {
  window: globalThis,
  self: globalThis,
  document: Object.assign(new EventTarget(), {
    baseURI: 'file:///app/index.html',
    hidden: false,
    visibilityState: 'visible',
  }),
  location: { href: 'file:///app/index.html', origin: 'file://' },
  addEventListener: events.addEventListener.bind(events),
  removeEventListener: events.removeEventListener.bind(events),
  reportError: (error) => process.nextTick(() => process.emit('uncaughtException', error)),
};
Object.assign(globalThis, page);

const { setTimeout: start, clearTimeout: stop, setInterval: repeat } = globalThis;
const timers = new Map();
let last = 0;
const timer =
  (start) =>
  (call, ms, ...rest) => {
    const id = ++last;
    timers.set(id, start(call, ms, ...rest));
    return id;
  };
const clear = (id) => {
  stop(timers.get(id));
  timers.delete(id);
};
Object.assign(globalThis, {
  setTimeout: timer(start),
  setInterval: timer(repeat),
  clearTimeout: clear,
  clearInterval: clear,
});
// A page lives until it is closed, and its timers cannot be unreferenced.
const { log } = console;
console.log = (text) => {
  log(text);
  process.exit(0);
};
require(process.argv[2]);
